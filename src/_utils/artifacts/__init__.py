"""The words of a component: log_artifact, use_artifact. Bytes go to a store, and into the index."""

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException

from _utils.artifacts import index
from _utils.artifacts.digests import content_of, digest_of
from _utils.artifacts.index import MODEL_TYPE, TAKEN, Artifact, current_run_id, parse_reference
from _utils.artifacts.stores import chosen_store, is_present, store
from _utils.environment import told
from _utils.errors import UserError

__all__ = ["MODEL_TYPE", "TAKEN", "is_present"]
AGAIN = "Publish it again: run its component with main.rerun=[<component>]."
# What a file name cannot have in the URIs of some stores, or on Windows
FORBIDDEN = re.compile(r'[\x00-\x1f#%?*:"<>|\\]|[ .]$')


def log_artifact(
    path: str | Path,
    *,
    type: str,
    description: str = "",
    name: str | None = None,
    uri: str | None = None,
) -> Artifact:
    """Publish a file or folder as an artifact of the current run.

    Other runs see the artifact when this run has finished, so a component that fails publishes
    nothing.

    Args:
        path: The file or folder on this machine.
        type: What kind of thing it is, for example `raw_data` or `model`.
        description: One sentence for the reader.
        name: The artifact's name; by default that of the file or folder.
        uri: Where MLflow has these bytes already, as for a logged model: the store `mlflow` keeps
            no second copy.
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
    name, version = parse_reference(reference)
    if alias == index.LATEST or not index.NAME.fullmatch(alias) or TAKEN.fullmatch(alias):
        raise UserError(f"'{alias}' cannot be an alias: use letters, digits, '_', '-' and '.'.")
    run_id = index.find_artifact(name, version).run_id
    MlflowClient().set_tag(run_id, index.alias_tag(name, alias), f"{time.time_ns():020}")


def use_artifact(reference: str, type: str | None = None) -> Path:
    """Fetch the artifact `name:version`, verify its content, and record it as input of this run.

    If its bytes are in several places, those of this run's experiment come first; another copy
    serves if these cannot be used.

    Args:
        reference: `name:<version>`, `name:latest` or `name:<alias>`.
        type: The type that the artifact must have; None for any.

    Returns:
        The path of the file or folder on this machine. Do not change what is there.
    """
    name, version = parse_reference(reference)
    if told(index.PINNED) and not index.DIGEST.fullmatch(version):
        raise UserError(
            f"'{reference}' has no version from main.py, which has to know each input of a "
            "component: declare a parameter for it, in MLproject and in config.yaml."
        )
    run_id, faults = current_run_id(), {}
    experiment_id = MlflowClient().get_run(run_id).info.experiment_id
    for artifact in index.find_copies(name, version, experiment_id):
        try:
            path = _fetch(artifact, type)
        except Exception as error:  # each store has its own
            faults[artifact.uri] = error
            continue
        for uri, fault in faults.items():
            print(f"Using {artifact.uri}, since {uri} failed: {fault}", file=sys.stderr)
        _record_input(run_id, artifact)
        return path
    if len(faults) == 1:
        raise faults.popitem()[1]
    lines = "\n".join(f"{uri}: {fault}" for uri, fault in faults.items())
    raise UserError(f"No copy of '{reference}' can be used:\n{lines}")


def _fetch(artifact: Artifact, type: str | None) -> Path:
    """Bring one copy of an artifact to this machine, and verify it."""
    title = f"Artifact '{artifact.reference}'"
    if type not in (None, artifact.type):
        raise UserError(
            f"{title} is of type '{artifact.type}', not '{type}': use another artifact, or change "
            "the type in the call."
        )
    try:
        path, digest = store(artifact.store).get(artifact)
    except Exception as error:
        if is_present(artifact):
            raise
        raise UserError(f"{title} is gone from {artifact.uri}. {AGAIN}") from error
    if digest != artifact.digest and not artifact.snapshot:
        raise UserError(
            f"{title} was changed after it was published: expected SHA-256 {artifact.digest}, "
            f"found {digest} at {artifact.uri}. {AGAIN}"
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
    """Raise UserError if there is no file, or one that a store could not keep."""
    inside = [*path.rglob("*")]
    if not any(file.is_file() for file in [path, *inside]):
        raise UserError(f"There is nothing at '{path}' to publish as artifact '{name}'.")
    for file in [path, *inside]:
        if FORBIDDEN.search(file.name) or (file != path and file.is_symlink() and file.is_dir()):
            raise UserError(
                f"Artifact '{name}' cannot have {str(file)!r}: some stores keep no links to "
                'folders, and no names with # % ? * : " < > | \\ or a dot or space at the end. '
                "Rename the file, or put a copy in place of the link."
            )
