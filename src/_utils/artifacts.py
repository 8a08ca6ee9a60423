"""Artifacts: named files and folders that components hand on, versioned by their content.

The version of an artifact is the first 12 hex digits of the SHA-256 of its content. The index is
MLflow itself: the run that made an artifact carries the tags `output.<name>` (the version) and
`artifact.<name>` (where the bytes are), the run that used it carries `input.<name>`.
"""

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, FileInfo, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from _utils.errors import UserError

LATEST = "latest"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
VERSION = re.compile(r"latest|[0-9a-f]{12}")


@dataclass(frozen=True)
class Artifact:
    """One version of an artifact, as its producer's tags tell it."""

    name: str
    digest: str  # SHA-256 of the content, 64 hex digits
    uri: str  # where the bytes are
    size: int  # bytes
    type: str
    description: str

    @property
    def version(self) -> str:
        """The first 12 hex digits of the digest."""
        return self.digest[:12]

    @property
    def reference(self) -> str:
        """What names this version everywhere: `<name>:<version>`."""
        return f"{self.name}:{self.version}"


def parse_reference(reference: str) -> tuple[str, str]:
    """Split `name:version`; raises UserError if either half is not allowed."""
    name, _, version = reference.partition(":")
    if not NAME.fullmatch(name) or not VERSION.fullmatch(version):
        raise UserError(
            f"'{reference}' names no artifact: write <name>:{LATEST} or <name>:<version>, "
            "the version being 12 hex digits."
        )
    return name, version


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, that of its relative paths and their digests."""
    sha = hashlib.sha256()
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            sha.update(f"{file.relative_to(path).as_posix()}\0{digest_of(file)}\n".encode())
        return sha.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def log_artifact(
    path: str | Path,
    *,
    type: str,
    description: str = "",
    name: str | None = None,
    uri: str | None = None,
) -> Artifact:
    """Publish a file or folder as an artifact of the current run.

    It becomes visible to other runs when this run has finished, so a component that fails
    publishes nothing.

    Args:
        path: The file or folder on this machine.
        type: What kind of thing it is, for example `raw_data` or `model`.
        description: One sentence for the reader.
        name: The artifact's name; by default that of the file or folder.
        uri: Where MLflow keeps these bytes already, as it does for a logged model. Without it they
            are uploaded to the run.

    Raises:
        UserError: The name is not allowed, or there is nothing at `path`.
    """
    path = Path(path)
    name = name or path.name
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be an artifact's name: use letters, digits, '_', '-' and '.'."
        )
    if not path.exists():
        raise UserError(f"There is nothing at '{path}' to publish as artifact '{name}'.")
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    client, run_id = MlflowClient(), current_run_id()
    uri = uri or _upload(path, name, client.get_run(run_id).info.artifact_uri)
    size = sum(file.stat().st_size for file in files)
    artifact = Artifact(name, digest_of(path), uri, size, type, description)
    # The version comes last: before it nothing refers to the bytes.
    client.set_tag(run_id, f"artifact.{name}", json.dumps(asdict(artifact)))
    client.set_tag(run_id, f"output.{name}", artifact.version)
    return artifact


def _upload(path: Path, name: str, run_uri: str) -> str:
    """Bring the bytes to the run; returns where they are. If it fails, no part of them stays."""
    repository = get_artifact_repository(run_uri)
    try:
        if path.is_dir():
            repository.log_artifacts(str(path), f"artifacts/{path.name}")
        else:
            repository.log_artifact(str(path), "artifacts")
    except Exception as error:
        with suppress(Exception):  # the first error is the one to tell
            repository.delete_artifacts(f"artifacts/{path.name}")
        if isinstance(error, OSError) and error.strerror:
            raise UserError(
                f"Artifact '{name}' could not be published to {run_uri}: {error.strerror}. "
                "Mend that, then run the same command again."
            ) from error
        raise
    return f"{run_uri}/artifacts/{path.name}"


def use_artifact(reference: str) -> Path:
    """Fetch the artifact `name:version`, verify its content, and record it as input of this run.

    Returns:
        The path of the file or folder on this machine; it is not to be changed.

    Raises:
        UserError: No such artifact, or its bytes are not those that were published.
    """
    name, version = parse_reference(reference)
    client, run_id = MlflowClient(), current_run_id()
    experiment_id = client.get_run(run_id).info.experiment_id if version == LATEST else None
    artifact = find_artifact(name, version, experiment_id)
    again = "Make it again: run the component that does with main.rerun=[<component>]."
    try:
        path = Path(mlflow.artifacts.download_artifacts(artifact_uri=artifact.uri))
    except (MlflowException, FileNotFoundError) as error:
        if is_present(artifact):
            raise
        raise UserError(f"'{artifact.reference}' is gone from {artifact.uri}. {again}") from error
    if (found := digest_of(path)) != artifact.digest:
        raise UserError(
            f"Artifact '{artifact.reference}' was changed after it was published: expected SHA-256 "
            f"{artifact.digest}, found {found} at {path}. {again}"
        )
    source = json.dumps({"uri": artifact.uri})
    dataset = Dataset(name, artifact.version, source_type="local", source=source)
    client.log_inputs(run_id, [DatasetInput(dataset)])
    client.set_tag(run_id, f"input.{name}", artifact.version)
    return path


def find_artifact(name: str, version: str, experiment_id: str | None = None) -> Artifact:
    """Look an artifact up among the finished runs of one experiment, or of all.

    `latest` is the newest published in that experiment. A digest says what the bytes are, so it
    may come from any experiment.

    Raises:
        UserError: It is not there; the message lists the versions that are.
    """
    client = MlflowClient()
    wanted = "!= ''" if version == LATEST else f"= '{version}'"
    runs = client.search_runs(
        [experiment_id] if experiment_id else all_experiments(),
        f"tags.`output.{name}` {wanted} and attributes.status = 'FINISHED'",
        order_by=["attributes.end_time DESC"],
        max_results=1,
    )
    if runs:
        return next(artifact for artifact in outputs_of(runs[0]) if artifact.name == name)
    if version == LATEST:
        raise UserError(
            f"'{name}:{LATEST}' was never published in this experiment: run the component that "
            "makes it first, or all of them with steps=all."
        )
    known = client.search_runs(
        all_experiments(),
        f"tags.`output.{name}` != ''",
        order_by=["attributes.end_time DESC"],
        max_results=50,
    )
    versions = dict.fromkeys(run.data.tags[f"output.{name}"] for run in known)
    listed = ", ".join(list(versions)[:5]) or "none"
    raise UserError(f"Artifact '{name}:{version}' was never published. Versions of it: {listed}.")


def all_experiments() -> list[str]:
    """The ids of the store's experiments."""
    return [experiment.experiment_id for experiment in MlflowClient().search_experiments()]


def outputs_of(run: Run) -> list[Artifact]:
    """The artifacts that a run published."""
    tags = run.data.tags
    return [
        Artifact(**json.loads(tags[f"artifact.{key.removeprefix('output.')}"]))
        for key in tags
        if key.startswith("output.")
    ]


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    folder, _, name = artifact.uri.rpartition("/")
    repository = get_artifact_repository(folder)

    def size_of(path: str) -> int:
        return sum(map(size_of_entry, repository.list_artifacts(path)))

    def size_of_entry(entry: FileInfo) -> int:
        return size_of(entry.path) if entry.is_dir else entry.file_size or 0

    found = [entry for entry in repository.list_artifacts() if entry.path == name]
    return bool(found) and size_of_entry(found[0]) == artifact.size


def current_run_id() -> str:
    """The run that this process works for: the active one, or the one MLflow launched it for."""
    if run := mlflow.active_run():
        return run.info.run_id
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        return run_id
    raise UserError("No MLflow run is active: start one with mlflow.start_run() first.")
