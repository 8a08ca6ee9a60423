"""Artifacts kept with the MLflow run that published them, where the tracking server has those."""

import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts

from _utils.artifacts.digests import NO_CONTENT, digest_of
from _utils.artifacts.index import MODEL_TYPE, Artifact


def put(path: Path, artifact: Artifact) -> str:
    """Copy the bytes to the run; returns their URI."""
    client, folder = MlflowClient(), f"artifacts/{artifact.name}/{artifact.version}"
    client.log_artifact(artifact.run_id, str(path), folder)
    return f"{client.get_run(artifact.run_id).info.artifact_uri}/{folder}/{path.name}"


def get(artifact: Artifact) -> tuple[Path, str]:
    """Download the bytes, unless they are on this machine and no model."""
    path = Path(download_artifacts(artifact.uri))
    if artifact.type == MODEL_TYPE:
        copy = Path(tempfile.mkdtemp(prefix="model-")) / path.name
        path = Path((shutil.copytree if path.is_dir() else shutil.copy)(path, copy))
    return path, digest_of(path)


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes are still there, by their number."""
    sizes, folder = _sizes(artifact.uri.rpartition("/")[0]), f"{artifact.uri}/"
    files = {f"{uri}/".removeprefix(folder): uri for uri in sizes if f"{uri}/".startswith(folder)}
    found = [sizes[uri] for name, uri in files.items() if not NO_CONTENT.fullmatch(name[:-1])]
    return bool(found) and sum(found) == artifact.size


def _sizes(folder: str) -> dict[str, int]:
    """The sizes in bytes of all files in a folder, by URI."""
    sizes: dict[str, int] = {}
    for entry in list_artifacts(folder):
        uri = f"{folder}/{entry.path.rpartition('/')[2]}"
        sizes |= _sizes(uri) if entry.is_dir else {uri: entry.file_size or 0}
    return sizes
