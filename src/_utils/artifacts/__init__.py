"""The words of a component: log_artifact and use_artifact, between a store and the index."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException

from _utils.artifacts import index
from _utils.artifacts.digests import content_of, digest_of
from _utils.artifacts.index import FORBIDDEN, MODEL_TYPE, PINNED, TAKEN, Artifact, current_run_id
from _utils.artifacts.stores import chosen_store, is_present, store
from _utils.environment import told
from _utils.errors import UserError

__all__ = ["MODEL_TYPE", "TAKEN", "is_present"]
AGAIN = "Publish it again: run its component with main.rerun=[<component>]."


def log_artifact(
    path: str | Path, *, type: str, description: str = "", name: str = "", uri: str = ""
) -> Artifact:
    """Publish a file or folder as an artifact; other runs see it when this run has finished.

    Args:
        path: The file or folder on this machine.
        type: What kind of thing it is, for example `raw_data` or `model`.
        description: One sentence for the reader.
        name: The artifact's name; by default that of the file or folder.
        uri: Where MLflow has the bytes of a logged model; the store `mlflow` makes no second copy.
    """
    path, chosen = Path(path), chosen_store()
    name = index.check_name(name or path.name)
    _check_files(path, name)
    size = sum(file.stat().st_size for file in content_of(path).values())
    new = Artifact(name, digest_of(path), "", size, type, description, current_run_id(), chosen)
    if not uri or chosen != "mlflow":
        try:
            uri = store(chosen).put(path, new)
        except OSError as error:  # for example a full disk
            raise UserError(
                f"Artifact '{name}' could not be published to the store '{chosen}': {error}. Fix "
                "the cause, then run the same command again."
            ) from error
    return index.enter(replace(new, uri=uri))


def log_reference(uri: str, **about: str) -> Artifact:
    """Publish data by its URI alone: see `log_reference` of stores/reference_store.py."""
    return store("reference").log_reference(uri, **about)


def set_alias(reference: str, alias: str) -> None:
    """Let `name:<alias>` name this version from now on, in all experiments."""
    name, version = index.parse_reference(reference)
    if alias == index.LATEST or not index.NAME.fullmatch(alias) or TAKEN.fullmatch(alias):
        raise UserError(f"'{alias}' cannot be an alias: use letters, digits, '_', '-' and '.'.")
    run_id = index.find_artifact(name, version).run_id
    MlflowClient().set_tag(run_id, index.alias_tag(name, alias), f"{time.time_ns():020}")


def use_artifact(reference: str) -> Path:
    """Fetch the artifact `name:version`, verify its content, and record it as input of this run.

    If its bytes are in several places, those of this run's experiment come first.

    Args:
        reference: `name:<version>`, `name:latest` or `name:<alias>`.

    Returns:
        The path of the file or folder on this machine. Do not change what is there.
    """
    name, version = index.parse_reference(reference)
    if told(PINNED) and not index.DIGEST.fullmatch(version):
        raise UserError(
            f"'{reference}' has no version from main.py, which has to know each input of a "
            "component: declare a parameter for it, in MLproject and in config.yaml."
        )
    run_id, fault = current_run_id(), None
    experiment_id = MlflowClient().get_run(run_id).info.experiment_id
    for artifact in index.find_copies(name, version, experiment_id):
        if fault:
            print(f"{fault}\nTrying the copy at {artifact.uri}.", file=sys.stderr)
        try:
            path = _fetch(artifact)
        except Exception as error:  # each store has its own
            fault = error
        else:
            _record_input(run_id, artifact)
            return path
    raise fault


def _fetch(artifact: Artifact) -> Path:
    """Bring one copy of an artifact to this machine, and verify it."""
    try:
        path, digest = store(artifact.store).get(artifact)
    except Exception as error:
        if is_present(artifact):
            raise
        message = f"Artifact '{artifact.reference}' is gone from {artifact.uri}. {AGAIN}"
        raise UserError(message) from error
    if digest != artifact.digest and not artifact.snapshot:
        raise UserError(
            f"Artifact '{artifact.reference}' was changed after it was published: expected SHA-256 "
            f"{artifact.digest}, found {digest} at {artifact.uri}. {AGAIN}"
        )
    return path


def _record_input(run_id: str, artifact: Artifact) -> None:
    client, source = MlflowClient(), json.dumps({"uri": artifact.uri})
    dataset = Dataset(artifact.name, artifact.version, source_type="local", source=source)
    try:
        client.log_inputs(run_id, [DatasetInput(dataset)])
    except MlflowException:  # another process recorded the same data set at the same moment
        client.log_inputs(run_id, [DatasetInput(dataset)])
    client.set_tag(run_id, f"input.{artifact.name}", artifact.version)


def _check_files(path: Path, name: str) -> None:
    files = [path, *path.rglob("*")]
    if not any(file.is_file() for file in files):
        raise UserError(f"There is nothing at '{path}' to publish as artifact '{name}'.")
    for file in files:
        if FORBIDDEN.search(file.name) or (file != path and file.is_symlink() and file.is_dir()):
            raise UserError(
                f"Artifact '{name}' cannot have {str(file)!r}, which not every store keeps: name "
                'the file without # % ? * : " < > | \\, without a dot or space at the end, and not '
                "as Windows' CON or aux.csv; publish a copy instead of a link to a folder."
            )
