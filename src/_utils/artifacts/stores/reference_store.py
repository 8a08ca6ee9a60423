"""Artifacts kept in the user's own storage or database; MLflow holds URI, digest and size only.

A URI is anything that fsspec can open, or a table: `postgresql://host/database/table`. Users and
passwords come from the environment (AWS_..., PGUSER, PGPASSWORD and the like), never from the URI.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import uuid4

from _utils.artifacts.digests import digest_of, digest_of_files
from _utils.artifacts.stores import table
from _utils.environment import told
from _utils.errors import UserError, not_published
from _utils.masking import has_password, masked
from _utils.tabular.fetch import path_in

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from _utils.artifacts.index import Artifact

PACKAGE = "fsspec"  # what the conda.yml of a component has to have


def faults() -> list[str]:
    """What keeps it from working: no storage, one that does not answer, one without permission."""
    url = told("STORAGE_URL")
    if not url:
        return ["main.artifact_store is reference: say where, with main.storage_url=<path or URL>."]
    try:
        _refuse_secrets(url)
        system, root = _open(url)
        if not _is_local(system):
            system.info(root.partition("/")[0])  # the bucket
        elif not _can_be_written(Path(root)):
            return [f"main.storage_url {url} cannot be written: choose another, or mend that."]
    except UserError as error:
        return [f"main.storage_url: {error}"]
    except Exception as error:  # every file system of fsspec has errors of its own
        return [f"main.storage_url {url}: {_explain(error)}"]
    return []


def put(path: Path, artifact: Artifact) -> str:
    """Write the bytes under `<storage_url>/<name>/<version>`; returns where they are."""
    if found := faults():
        raise UserError("\n".join(found))
    base = told("STORAGE_URL").rstrip("/")
    uri = f"{base}/{artifact.folder}/{path.name}"
    try:
        system, root = _open(uri)
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                relative = file.relative_to(path).as_posix() if file != path else ""
                _write(system, file, f"{root}/{relative}".rstrip("/"))
    except Exception as error:  # every file system of fsspec has errors of its own
        raise not_published(artifact.name, uri, error) from error
    return uri


def get(artifact: Artifact, folder: Path) -> tuple[Path, str]:
    """Bring the bytes to this machine, if they are not there; of a table, its rows as parquet."""
    if table.is_table(artifact.uri):
        return table.get(artifact, folder)
    try:
        system, root = _open(artifact.uri)
        if _is_local(system):
            return Path(root), digest_of(Path(root))
        target = path_in(folder, PurePosixPath(root).name)
        for name, place in _files(system, root).items():
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(place, str(file))
        return target, digest_of(target)
    except (OSError, UserError):  # the former of this machine
        raise
    except Exception as error:
        raise UserError(f"{artifact.uri}: {_explain(error)}") from error


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    if table.is_table(artifact.uri):
        return table.is_present(artifact)
    system, root = _open(artifact.uri)
    sizes = [*map(system.size, _files(system, root).values())]
    return bool(sizes) and (bool(artifact.snapshot) or sum(sizes) == artifact.size)


def describe(uri: str) -> tuple[str, int]:
    """Read what lies at a URI: a file, a folder, or a table.

    Returns:
        The SHA-256 of the content, as for an artifact (of a table, see there), and its bytes.

    Raises:
        UserError: It cannot be read, or the URI holds a secret.
    """
    if table.is_table(uri):
        return table.describe(uri)
    _refuse_secrets(uri)
    try:
        system, root = _open(uri)
        places = _files(system, root)
        if not places:
            raise FileNotFoundError
        return (
            digest_of_files(places, lambda place: system.open(place, "rb")),
            sum(map(system.size, places.values())),
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{uri}: {_explain(error)}") from error


def component_run(run_id: str) -> AbstractContextManager:
    """Nothing beyond the MLflow run itself."""
    return nullcontext()


def _open(uri: str) -> tuple[AbstractFileSystem, str]:
    import fsspec  # here, for only this store needs it

    if uri.startswith("file:"):
        uri = unquote(uri)  # fsspec would look for a folder `my%20data`
    # What other processes write is to be seen at once
    return fsspec.core.url_to_fs(uri, use_listings_cache=False)


def _files(system: AbstractFileSystem, root: str) -> dict[str, str]:
    """The files at a place: of a folder all in it, by their names in it; else one, named ''.

    Raises:
        UserError: A name leads out of the folder.
    """
    places = {place[len(root) :].lstrip("/"): place for place in sorted(system.find(root))}
    for name in filter(None, places):
        path_in(Path(root), name)
    return places


def _is_local(system: AbstractFileSystem) -> bool:
    return "file" in system.protocol


def _write(system: AbstractFileSystem, file: Path, place: str) -> None:
    """Write a file so that others see all of it or nothing: object stores do that by themselves."""
    if not _is_local(system):
        system.put_file(str(file), place)
        return
    partial = Path(f"{place}.{uuid4().hex}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(file, partial)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def _can_be_written(folder: Path) -> bool:
    """Tell whether the folder, or the first one above it that is there, takes new files."""
    there = next(each for each in [folder, *folder.parents] if each.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def _refuse_secrets(uri: str) -> None:
    if has_password(uri) or "?" in uri:
        raise UserError(
            f"'{masked(uri)}' holds a password or a query, which would be on record: "
            "leave it out and set the environment variables that its storage knows."
        )


def _explain(error: Exception) -> str:
    reason = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError):
        return "there is no such place. Check its spelling, or make it first."
    if isinstance(error, ImportError):
        return f"a package is missing. {reason}: add it to all conda.yml files."
    cure = "Check the address, your credentials and the network."
    return f"it cannot be reached ({type(error).__name__}: {reason}). {cure}"
