"""Artifacts kept with the MLflow run that published them, where the tracking server has those."""

import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts

from _utils.artifacts.digests import META, digest_of
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
    sizes = _sizes(artifact.uri.rpartition("/")[0])
    sizes.pop(f"{artifact.uri}/{META}", None)
    found = [size for uri, size in sizes.items() if f"{uri}/".startswith(f"{artifact.uri}/")]
    return bool(found) and sum(found) == artifact.size


def _sizes(folder: str) -> dict[str, int]:
    """The sizes in bytes of all files in a folder, by URI."""
    sizes: dict[str, int] = {}
    for entry in list_artifacts(folder):
        uri = f"{folder}/{entry.path.rpartition('/')[2]}"
        sizes |= _sizes(uri) if entry.is_dir else {uri: entry.file_size or 0}
    return sizes
