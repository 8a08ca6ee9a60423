"""Bring a file of the outside world to this machine."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.request import url2pathname

import fsspec
from fsspec.callbacks import TqdmCallback

from _utils.errors import UserError
from _utils.masking import masked, masked_text

ROOT = Path(__file__).resolve().parents[3]


def fetch(url: str, folder: Path) -> Path:
    """Bring a file to this machine.

    Args:
        url: Where it is: a path relative to the root of the repository, an absolute path, or any
            URL that fsspec knows (file://, http(s)://, s3://, ...).
        folder: Where a download goes, under the file's own name. It is made if need be.

    Returns:
        The path of the file: where it lies if it is local, in `folder` if it was downloaded.

    Raises:
        UserError: The file cannot be had, or it is empty. No part of it is left behind.
    """
    # `C:\data\x.csv` has a colon but no `://`, so it is a path.
    if "://" in url and not url.startswith("file://"):
        return _download(url, folder)
    local = url2pathname(url[7:]) if url.startswith("file://") else url
    path = ROOT / Path(local).expanduser()
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name one file in it.")
    if not path.exists():
        raise UserError(f"{path}: there is no such file. Check its spelling, or bring it there.")
    _refuse_empty(path, str(path))
    return path


def _download(url: str, folder: Path) -> Path:
    shown = masked(url)
    folder.mkdir(parents=True, exist_ok=True)
    partial = None
    # `from None`: the traceback of the cause would repeat the secrets of the URL.
    try:
        system, path = fsspec.core.url_to_fs(url, **_options(url))
        target = path_in(folder, PurePosixPath(path.partition("?")[0]).name)
        partial = target.with_name(f"{target.name}.part")
        with TqdmCallback(
            {"desc": target.name, "unit": "B", "unit_scale": True, "disable": None}
        ) as bar:
            system.get_file(path, partial, callback=bar)
            announced = bar.size or 0
        # Less, not other: a server may announce the size of a file before it is decompressed.
        if (size := partial.stat().st_size) < announced:
            raise ConnectionError(f"the connection was cut after {size} of {announced} bytes")
        _refuse_empty(partial, shown)
        return partial.replace(target)
    except UserError:
        raise
    except Exception as fault:  # every file system of fsspec raises errors of its own
        raise UserError(f"{shown}: {_explain(fault)}") from None
    finally:
        if partial:
            partial.unlink(missing_ok=True)


def _options(url: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        return {}
    import aiohttp  # here, because only http needs it to be installed

    # By default a download is cut after 5 minutes, however well it goes, and proxies are ignored.
    patience = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    return {
        "client_kwargs": {"timeout": patience, "trust_env": True},
        "headers": {"Accept-Encoding": "identity"},  # else the announced size is the compressed one
    }


def _explain(fault: Exception) -> str:
    reason = masked_text(" ".join(str(fault).split()))
    if isinstance(fault, ImportError):
        return f"a package is missing. {reason}: add it to conda.yml."
    if reason.startswith("Protocol not known"):
        return f"{reason}. Use a path, or a URL such as file://, https:// or s3://."
    if isinstance(fault, FileNotFoundError):
        return "not found there (404). Check the spelling; it has to be one file, not a folder."
    if status := getattr(fault, "status", None):
        return f"the server answered HTTP {status}. Check the address and your right to read it."
    return (
        f"the download failed ({type(fault).__name__}: {reason}).\n"
        "Check the address, your credentials and the network, then run it again."
    )


def _refuse_empty(path: Path, shown: str) -> None:
    if path.stat().st_size == 0:
        raise UserError(f"{shown} is empty (0 bytes). Ask whoever wrote it for the whole file.")


def path_in(folder: Path, name: str) -> Path:
    """Where a file of this name goes in a folder; on every system it is there and nowhere else.

    Args:
        folder: The folder, which may hold folders of its own.
        name: The file's name in it, with `/` after the names of inner folders.

    Raises:
        UserError: The name is empty, or leads out of the folder.
    """
    windows = PureWindowsPath(name)  # it takes both / and \\ for separators
    if not windows.parts or windows.anchor or ".." in windows.parts or "\\" in name:
        raise UserError(
            f"'{name}' cannot be the name of a file in {folder}: it is empty, an absolute path, or "
            "has '..' or a backslash in it. Rename the file."
        )
    return folder / name
