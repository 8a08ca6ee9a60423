"""Artifacts kept with the MLflow run that made them, wherever its tracking server puts those."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.uri import is_local_uri

from _utils.artifacts.digests import digest_of, without_meta
from _utils.errors import not_published

if TYPE_CHECKING:
    from _utils.artifacts.index import Artifact

PACKAGE = ""  # what the conda.yml of a component has to have: nothing more


def faults() -> list[str]:
    """What keeps it from working: nothing that the tracking server would not tell."""
    return []


def put(path: Path, artifact: Artifact) -> str:
    """Bring the bytes to the run; returns where they are. If it fails, no part of them stays."""
    run_uri = MlflowClient().get_run(artifact.run_id).info.artifact_uri
    repository, folder = get_artifact_repository(run_uri), f"artifacts/{artifact.folder}"
    try:
        if path.is_dir():
            repository.log_artifacts(str(path), f"{folder}/{path.name}")
        else:
            repository.log_artifact(str(path), folder)
    except Exception as error:
        with suppress(Exception):  # the first error is the one to tell
            repository.delete_artifacts(f"{folder}/{path.name}")
        if isinstance(error, OSError) and error.strerror:
            raise not_published(artifact.name, run_uri, error) from error
        raise
    return f"{run_uri}/{folder}/{path.name}"


def get(artifact: Artifact, folder: Path) -> tuple[Path, str]:
    """Bring the bytes to this machine, if they are not there."""
    where, _, name = artifact.uri.rpartition("/")
    target = None if is_local_uri(where) else str(folder)
    path = Path(get_artifact_repository(where).download_artifacts(name, target))
    return path, digest_of(path)


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    folder, _, name = artifact.uri.rpartition("/")
    repository = get_artifact_repository(folder)

    def sizes_of(entry: FileInfo) -> dict[str, int]:
        if not entry.is_dir:
            return {entry.path: entry.file_size or 0}
        inner = map(sizes_of, repository.list_artifacts(entry.path))
        return {path: size for sizes in inner for path, size in sizes.items()}

    found = [entry for entry in repository.list_artifacts() if entry.path == name]
    return bool(found) and sum(without_meta(sizes_of(found[0])).values()) == artifact.size


def component_run(run_id: str) -> AbstractContextManager:
    """Nothing beyond the MLflow run itself."""
    return nullcontext()
