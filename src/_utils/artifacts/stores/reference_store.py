"""Artifacts kept in the user's own storage or database; MLflow has only their URI and digest.

A URI is anything that fsspec can open, or a table: `postgresql://host/database/table`. Users and
passwords come from the environment (AWS_..., PGUSER, PGPASSWORD), never from the URI.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from _utils.artifacts.digests import NO_CONTENT, content_of, digest_of, digest_of_files
from _utils.artifacts.index import MODEL_TYPE, Artifact, check_name, current_run_id, enter
from _utils.environment import told
from _utils.errors import UserError
from _utils.masking import has_password, masked
from _utils.tabular.fetch import path_in
from _utils.tabular.from_database import digest_of_table, is_table, table_exists, table_to_parquet

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PACKAGE = "fsspec"


def log_reference(
    uri: str, *, type: str, name: str, description: str = "", snapshot: str = ""
) -> Artifact:
    """Publish data that lies somewhere already, by its URI alone.

    Args:
        uri: A file, a folder, or a table: `postgresql://host/database/table`.
        type: What kind of thing it is.
        name: The artifact's name.
        description: One sentence for the reader.
        snapshot: Your own id of the content, which is trusted. Without it the content is read now,
            and verified at each use.
    """
    _refuse_secrets(uri)
    size = 0
    if snapshot:
        digest = hashlib.sha256(snapshot.encode()).hexdigest()
    elif is_table(uri):
        digest = digest_of_table(uri)
    else:
        with _storage(uri) as (system, root):
            if not (files := _files(system, root)):
                raise FileNotFoundError("there is no such file or folder")
            digest = digest_of_files(files, system.open)
            size = sum(map(system.size, files.values()))
    about = (type, description, current_run_id(), "reference", snapshot)
    return enter(Artifact(check_name(name), digest, uri, size, *about))


def place() -> str:
    """The folder or URL that new bytes go to."""
    return told("STORAGE_URL")


def faults() -> list[str]:
    """What keeps the store from working: no storage, or one that refuses us."""
    if not (url := place()):
        return ["main.artifact_store is reference: say where, with main.storage_url=<path or URL>."]
    try:
        _refuse_secrets(url)
        with _storage(url) as (system, root):
            if not _is_local(system):
                system.info(root.partition("/")[0])  # the bucket
                return []
            folder = next(each for each in [Path(root), *Path(root).parents] if each.exists())
            if not (folder.is_dir() and os.access(folder, os.W_OK)):
                raise PermissionError("it cannot be written")
    except UserError as error:
        return [f"main.storage_url: {error}"]
    return []


def put(path: Path, artifact: Artifact) -> str:
    """Write the bytes under `<storage_url>/<name>/<version>`; returns their URI."""
    if found := faults():
        raise UserError("\n".join(found))
    uri = f"{place().rstrip('/')}/{artifact.name}/{artifact.version}/{path.name}"
    with _storage(uri) as (system, root):
        for name, file in content_of(path).items():
            target = f"{root}/{name}".rstrip("/")
            if not _is_local(system):
                system.put_file(str(file), target)
                continue
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            # Readers must see all of a file or nothing; object stores do so by themselves
            with tempfile.TemporaryDirectory(dir=Path(root).parent) as partial:
                Path(shutil.copy(file, partial)).replace(target)
    return uri


def get(artifact: Artifact) -> tuple[Path, str]:
    """Download the bytes, unless they are on this machine and no model."""
    if is_table(artifact.uri):
        name = f"{artifact.name.removesuffix('.parquet')}.parquet"
        target = Path(tempfile.mkdtemp(prefix="artifact-")) / name
        return target, table_to_parquet(artifact.uri, target)
    with _storage(artifact.uri) as (system, root):
        path = Path(root)
        if not _is_local(system) or artifact.type == MODEL_TYPE:
            path = path_in(Path(tempfile.mkdtemp(prefix="artifact-")), PurePosixPath(root).name)
            for name, place in _files(system, root).items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                system.get_file(place, str(path / name))
        return path, digest_of(path)


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes are still there, by their number; of a table, whether it exists."""
    if is_table(artifact.uri):
        return table_exists(artifact.uri)
    with _storage(artifact.uri) as (system, root):
        sizes = [*map(system.size, _files(system, root).values())]
    return bool(sizes) and (bool(artifact.snapshot) or sum(sizes) == artifact.size)


@contextmanager
def _storage(uri: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """The file system of a URI, and the path in it; errors within become UserErrors."""
    import fsspec  # late: the other stores work without it

    try:
        # fsspec does not decode the URIs of local files. What other processes write must be seen.
        yield fsspec.core.url_to_fs(
            unquote(uri) if uri.startswith("file:") else uri, use_listings_cache=False
        )
    except UserError:
        raise
    except Exception as error:  # every file system of fsspec has errors of its own
        raise UserError(
            f"{uri} cannot be used: {type(error).__name__}: {error}. Check its spelling, the "
            "credentials, the network and the free space; if a package is missing, add it to all "
            "conda.yml files."
        ) from error


def _files(system: AbstractFileSystem, root: str) -> dict[str, str]:
    """The files at a path, by relative path as in `content_of`; none may lead out of the folder."""
    places = {place[len(root) :].lstrip("/"): place for place in sorted(system.find(root))}
    for name in filter(None, places):
        path_in(Path(root), name)
    return {name: place for name, place in places.items() if not NO_CONTENT.fullmatch(name)}


def _is_local(system: AbstractFileSystem) -> bool:
    return "file" in system.protocol


def _refuse_secrets(uri: str) -> None:
    if has_password(uri) or ("?" in uri and not is_table(uri)):
        raise UserError(
            f"'{masked(uri)}' holds a password or a query, which would be on record: leave it out, "
            "and set the environment variables that its storage reads, such as PGPASSWORD."
        )
