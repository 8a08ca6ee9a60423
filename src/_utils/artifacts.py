"""The words of a component: log_artifact, use_artifact. Bytes go to a store, and into the index."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput

from _utils.digests import content_of, digest_of
from _utils.errors import UserError
from _utils.index import (
    LATEST,
    NAME,
    Artifact,
    alias_tag,
    check_name,
    enter,
    find_artifact,
    parse_reference,
)
from _utils.stores import STORES, chosen_store, reference_store

MODEL_TYPE = "model"  # the type of artifacts that are loaded by executing what is in them
TAKEN = re.compile(r"[0-9a-f]{12}|v\d+")  # as versions look like here, and at W&B


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
        uri: Where MLflow keeps these bytes already, as it does for a logged model: the store
            `mlflow` then keeps no second copy.

    Raises:
        UserError: The name is not allowed, there is nothing at `path`, or it cannot be stored.
    """
    path = Path(path)
    name = check_name(name or path.name)
    if not path.exists():
        raise UserError(f"There is nothing at '{path}' to publish as artifact '{name}'.")
    size, store = sum(file.stat().st_size for file in content_of(path).values()), chosen_store()
    new = Artifact(name, digest_of(path), "", size, type, description, current_run_id(), store)
    if uri and store == "mlflow":
        return enter(replace(new, uri=uri))
    return enter(replace(new, uri=STORES[store].put(path, new)))


def log_reference(
    uri: str, *, type: str, name: str, description: str = "", snapshot: str = ""
) -> Artifact:
    """Publish data that lies somewhere already, by its URI alone.

    Args:
        uri: A file or folder that fsspec can open, or a table: `postgresql://host/database/table`.
        type: What kind of thing it is.
        name: The artifact's name.
        description: One sentence for the reader.
        snapshot: Your own id of the content, for data that has one. Without it everything is read
            now, and verified at each use.

    Raises:
        UserError: The name is not allowed, or the data cannot be read.
    """
    name = check_name(name)
    if snapshot:
        digest, size = hashlib.sha256(snapshot.encode()).hexdigest(), 0
    else:
        digest, size = reference_store.describe(uri)
    run_id = current_run_id()
    return enter(
        Artifact(name, digest, uri, size, type, description, run_id, "reference", snapshot)
    )


def set_alias(reference: str, alias: str) -> None:
    """Let `name:<alias>` name this version from now on, in all experiments.

    Raises:
        UserError: No such artifact, or the alias is not allowed.
    """
    name, version = parse_reference(reference)
    if alias == LATEST or not NAME.fullmatch(alias) or TAKEN.fullmatch(alias):
        raise UserError(f"'{alias}' cannot be an alias: use letters, digits, '_', '-' and '.'.")
    artifact = find_artifact(name, version)
    MlflowClient().set_tag(artifact.run_id, alias_tag(name, alias), f"{time.time_ns():020}")


def use_artifact(reference: str, type: str | None = None) -> Path:
    """Fetch the artifact `name:version`, verify its content, and record it as input of this run.

    Args:
        reference: `name:<version>`, `name:latest` or `name:<alias>`.
        type: The type that it has to be of; None for any.

    Returns:
        The path of the file or folder on this machine; it is not to be changed.

    Raises:
        UserError: No such artifact, or its bytes are not those that were published.
    """
    name, version = parse_reference(reference)
    client, run_id = MlflowClient(), current_run_id()
    experiment_id = client.get_run(run_id).info.experiment_id
    artifact = find_artifact(name, version, experiment_id)
    if type and artifact.type != type:
        raise UserError(
            f"Artifact '{artifact.reference}' is of type '{artifact.type}', not '{type}': "
            "use another one, or change the type asked for."
        )
    again = "Make it again: run the component that does with main.rerun=[<component>]."
    folder = Path(tempfile.mkdtemp(prefix="artifact-"))
    try:
        path, found = STORES[artifact.store].get(artifact, folder)
        copy = folder / path.name
        if artifact.type == MODEL_TYPE and not copy.exists():
            # Loading a model executes it. A copy of our own nobody changes between the moments of
            # verification and loading; links in it are what they pointed to.
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
            path, found = copy, digest_of(copy)
    except Exception as error:
        gone = False
        with suppress(Exception):  # where a storage cannot be asked, the first error is the reason
            gone = not is_present(artifact)
        if not gone:
            raise
        raise UserError(f"'{artifact.reference}' is gone from {artifact.uri}. {again}") from error
    finally:
        with suppress(OSError):
            folder.rmdir()  # if it is empty: the bytes are used where they are
    if found != artifact.digest and not artifact.snapshot:
        raise UserError(
            f"Artifact '{artifact.reference}' was changed after it was published: expected SHA-256 "
            f"{artifact.digest}, found {found} at {path}. {again}"
        )
    source = json.dumps({"uri": artifact.uri})
    dataset = Dataset(name, artifact.version, source_type="local", source=source)
    client.log_inputs(run_id, [DatasetInput(dataset)])
    client.set_tag(run_id, f"input.{name}", artifact.version)
    return path


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    return STORES[artifact.store].is_present(artifact)


def current_run_id() -> str:
    """The run that this process works for: the active one, or the one MLflow launched it for."""
    if run := mlflow.active_run():
        return run.info.run_id
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        return run_id
    raise UserError("No MLflow run is active: start one with mlflow.start_run() first.")
