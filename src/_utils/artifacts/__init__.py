"""The words of a component: log_artifact, use_artifact. Bytes go to a store, and into the index."""

import hashlib
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException

from _utils.artifacts.digests import content_of, digest_of
from _utils.artifacts.index import (
    DIGEST,
    LATEST,
    LISTED,
    NAME,
    PINNED,
    Artifact,
    alias_tag,
    check_name,
    enter,
    find_artifact,
    find_copies,
    parse_reference,
)
from _utils.artifacts.stores import STORES, chosen_store, reference_store
from _utils.environment import told
from _utils.errors import UserError

MODEL_TYPE = "model"  # the type of artifacts that are loaded by executing what is in them
TAKEN = re.compile(r"[0-9a-f]{12}|v\d+")  # as versions look like here, and at W&B
# What a store's URIs or a system's file names cannot have: control characters, what is special in
# URIs or on Windows, bytes that are no text, spaces around a name, a dot at its end, and devices
UNUSABLE = re.compile(
    r"""[\x00-\x1f\x7f\ud800-\udfff#%?*:"<>|\\]|^ |[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)""",
    re.IGNORECASE,
)
TRIES = 10  # times that an input is recorded before its error counts
AGAIN = "Make it again: run the component that does with main.rerun=[<component>]."


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
        UserError: A name is not allowed, there is nothing at `path`, or it cannot be stored.
    """
    path = Path(path)
    name = check_name(name or path.name)
    _check_files(path, name)
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

    If its bytes lie in several places, those of this run's experiment are taken if they can be.

    Args:
        reference: `name:<version>`, `name:latest` or `name:<alias>`.
        type: The type that it has to be of; None for any.

    Returns:
        The path of the file or folder on this machine; it is not to be changed.

    Raises:
        UserError: No such artifact, or its bytes are not those that were published; or `main.py`
            runs the component, and does not know that it uses this.
    """
    name, version = parse_reference(reference)
    if told(PINNED) and not DIGEST.fullmatch(version):
        raise UserError(
            f"'{reference}' has no version from main.py, which could not know whether this has to "
            "run again: name it in a parameter ..._artifact, in MLproject and in config.yaml."
        )
    run_id = current_run_id()
    copies = find_copies(name, version, MlflowClient().get_run(run_id).info.experiment_id)
    first = next(copies)
    of_type = (each for each in chain([first], copies) if type in (None, each.type))
    if not (artifact := next(of_type, None)):
        raise UserError(
            f"Artifact '{first.reference}' is of type '{first.type}', not '{type}': "
            "use another one, or change the type asked for."
        )
    artifact, path = _fetch_first(chain([artifact], of_type))
    _record_input(run_id, artifact)
    return path


def _fetch_first(copies: Iterable[Artifact]) -> tuple[Artifact, Path]:
    """The first copy of an artifact that can be had and has the content that was published.

    Raises:
        UserError: There is none; the message says what is wrong with each.
        Exception: What the store of the only copy raised, if that is not known to be gone.
    """
    faults: dict[str, Exception] = {}
    unreachable = set()
    for artifact in copies:
        server = urlsplit(artifact.uri)[:2]
        if server in unreachable:
            continue
        folder = Path(tempfile.mkdtemp(prefix="artifact-"))
        try:
            path, found = STORES[artifact.store].get(artifact, folder)
            copy = folder / path.name
            if artifact.type == MODEL_TYPE and not copy.exists():
                # Loading a model executes it. A copy of our own nobody changes between the moments
                # of verification and loading; links in it are what they pointed to.
                (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
                path, found = copy, digest_of(copy)
        except Exception as error:  # each store has its own
            faults[artifact.uri] = error
            if _is_gone(artifact):
                reason = f"'{artifact.reference}' is gone from {artifact.uri}. {AGAIN}"
                faults[artifact.uri] = UserError(reason)
            elif server[1]:  # the other copies there would take as long to fail
                unreachable.add(server)
        else:
            if artifact.snapshot or found == artifact.digest:
                for uri, fault in faults.items():
                    print(f"Using {artifact.uri}, for {uri} cannot be: {fault}", file=sys.stderr)
                return artifact, path
            faults[artifact.uri] = UserError(
                f"Artifact '{artifact.reference}' was changed after it was published: expected "
                f"SHA-256 {artifact.digest}, found {found} at {artifact.uri}. {AGAIN}"
            )
        finally:
            with suppress(OSError):
                folder.rmdir()  # if it is empty: the bytes are used where they are
    if len(faults) == 1:
        raise faults.popitem()[1]
    listed = "\n".join(f"{uri}: {fault}" for uri, fault in [*faults.items()][:LISTED])
    raise UserError(f"None of the copies of '{artifact.reference}' can be used:\n{listed}")


def _is_gone(artifact: Artifact) -> bool:
    with suppress(Exception):  # where a storage cannot be asked, its error is the reason
        return not is_present(artifact)
    return False


def _record_input(run_id: str, artifact: Artifact) -> None:
    """Let the run have the artifact as an input."""
    client, source = MlflowClient(), json.dumps({"uri": artifact.uri})
    dataset = Dataset(artifact.name, artifact.version, source_type="local", source=source)
    for tries_left in reversed(range(TRIES)):
        try:
            client.log_inputs(run_id, [DatasetInput(dataset)])
            break
        except MlflowException:  # another process has just recorded it, and MLflow fails at that
            if not tries_left:
                raise
            time.sleep(random.random() / 5)
    client.set_tag(run_id, f"input.{artifact.name}", artifact.version)


def _check_files(path: Path, name: str) -> None:
    """Refuse what cannot be published as this artifact.

    Raises:
        UserError: There are no files, or none of the stores could give one of them back.
    """
    inside = sorted(path.rglob("*")) if path.is_dir() else []
    if not any(file.is_file() for file in inside or [path]):
        raise UserError(f"There is nothing at '{path}' to publish as artifact '{name}'.")
    for file in [path, *inside]:
        if UNUSABLE.search(file.name):
            raise UserError(
                f"Artifact '{name}' cannot have a file or folder named {file.name!r}, for not all "
                "stores and systems can keep it: rename it, with letters, digits, '_', '-' and '.'."
            )
        if not file.is_file() and (file.is_symlink() or not file.is_dir()) and file != path:
            raise UserError(
                f"Artifact '{name}' cannot have '{file}', which is no file or folder, or a link to "
                "a folder: take it out, or put a copy in its place."
            )


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    return STORES[artifact.store].is_present(artifact)


def current_run_id() -> str:
    """The run that this process works for: the active one, or the one MLflow launched it for."""
    if run := mlflow.active_run():
        return run.info.run_id
    if run_id := told("MLFLOW_RUN_ID"):
        return run_id
    raise UserError("No MLflow run is active: start one with mlflow.start_run() first.")
