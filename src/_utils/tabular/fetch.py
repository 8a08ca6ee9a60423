"""Download a file, or find it on this machine."""

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.request import url2pathname

import fsspec
from fsspec.callbacks import TqdmCallback

from _utils.errors import UserError
from _utils.masking import masked, masked_text
from _utils.names import path_in

ROOT = Path(__file__).resolve().parents[3]


def fetch(url: str, folder: Path) -> Path:
    """Return the path of a local file, or download the file first.

    Args:
        url: A path relative to the root of the repository, an absolute path, or any URL that
            fsspec supports (file://, http(s)://, s3://, ...).
        folder: The folder for a download, which keeps its file name. It is created if necessary.

    Returns:
        The path of the file; a download is in `folder`.

    Raises:
        UserError: The file does not exist, is empty, or could not be downloaded. A partial
            download is removed.
    """
    # `C:\data\x.csv` has a colon but no `://`, so it is a path.
    if "://" in url and not url.startswith("file://"):
        return _download(url, folder)
    local = url2pathname(url[7:]) if url.startswith("file://") else url
    path = ROOT / Path(local).expanduser()
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name one file in it.")
    if not path.exists():
        raise UserError(f"{path}: there is no such file. Check the path, or put the file there.")
    _refuse_empty(path, str(path))
    return path


def _download(url: str, folder: Path) -> Path:
    shown = masked(url)
    folder.mkdir(parents=True, exist_ok=True)
    partial = None
    # `from None`, because the cause's traceback would show the secrets in the URL.
    try:
        system, path = fsspec.core.url_to_fs(url, **_options(url))
        target = path_in(folder, PurePosixPath(path.partition("?")[0]).name)
        partial = target.with_name(f"{target.name}.part")
        with TqdmCallback(
            {"desc": target.name, "unit": "B", "unit_scale": True, "disable": None}
        ) as bar:
            system.get_file(path, partial, callback=bar)
            announced = bar.size or 0
        # Larger is fine: a server may announce the compressed size of a file.
        if (size := partial.stat().st_size) < announced:
            raise ConnectionError(f"the connection was cut after {size} of {announced} bytes")
        _refuse_empty(partial, shown)
        return partial.replace(target)
    except UserError:
        raise
    except Exception as fault:  # each file system of fsspec has its own types of errors
        raise UserError(f"{shown}: {_explain(fault)}") from None
    finally:
        if partial:
            partial.unlink(missing_ok=True)


def _options(url: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        return {}
    import aiohttp  # imported here: only http needs it

    # By default aiohttp ends every download after 5 minutes, and ignores proxies.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    return {
        "client_kwargs": {"timeout": timeout, "trust_env": True},
        "headers": {"Accept-Encoding": "identity"},  # so that the announced size is the file's
    }


def _explain(fault: Exception) -> str:
    reason = masked_text(" ".join(str(fault).split()))
    if isinstance(fault, ImportError):
        return f"a package is missing ({reason}). Add it to conda.yml."
    if reason.startswith("Protocol not known"):
        return f"{reason}. Use a path, or a URL such as file://, https:// or s3://."
    if isinstance(fault, FileNotFoundError):
        return "not found (404). Check the address; it must be a file, not a folder."
    if status := getattr(fault, "status", None):
        return f"the server answered HTTP {status}. Check the address and your permissions."
    return (
        f"the download failed ({type(fault).__name__}: {reason}).\n"
        "Check the address, your credentials and the network, then run the pipeline again."
    )


def _refuse_empty(path: Path, shown: str) -> None:
    if path.stat().st_size == 0:
        raise UserError(f"{shown} is empty (0 bytes). Ask whoever wrote it for the whole file.")
