"""Download a file, or find it on this machine."""

import os
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.request import url2pathname

from _utils.errors import UserError
from _utils.masking import masked, masked_text

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
    if not (local := local_path(url)):
        return _download(url, folder)
    path = ROOT / local
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name one file in it.")
    if not path.exists():
        raise UserError(f"{path}: there is no such file. Check the path, or put the file there.")
    _refuse_empty(path, str(path))
    return path


def local_path(url: str) -> str:
    """The path that a `url` of this machine names, with `~` replaced; else empty."""
    path = re.sub("^file:(//(localhost)?)?(?=/)", "", url)
    if path != url:
        return url2pathname(path)
    return "" if "://" in url else os.path.expanduser(url)  # noqa: PTH111  # never an error


def _download(url: str, folder: Path) -> Path:
    import fsspec  # here and below: main.py needs only `local_path`
    from fsspec.callbacks import TqdmCallback

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


def path_in(folder: Path, name: str) -> Path:
    """The path of a file in a folder, checked not to lead out of the folder on any system.

    Args:
        folder: The folder.
        name: The name of the file in it; `/` separates inner folders.

    Raises:
        UserError: The name is empty, or leads out of the folder.
    """
    windows = PureWindowsPath(name)  # it accepts both / and \\ as separators
    if not windows.parts or windows.anchor or ".." in windows.parts or "\\" in name:
        raise UserError(
            f"'{name}' cannot be the name of a file in {folder}: it is empty, an absolute path, or "
            "has '..' or a backslash in it. Rename the file."
        )
    return folder / name
