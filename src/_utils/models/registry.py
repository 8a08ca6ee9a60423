"""The model in use: the version in MLflow's model registry that has the alias `champion`.

The artifacts that a champion was made from, back to the raw data, get the name of the registered
model as an alias: `raw_data.parquet:<model>`.
"""

import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from _utils.artifacts import MODEL_TYPE, TAKEN, current_run_id, log_artifact, set_alias
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import (
    LATEST,
    NAME,
    Artifact,
    all_pages,
    check_name,
    find_artifact,
    parse_reference,
)
from _utils.errors import UserError

CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST = "sha256"  # tag of a version: the digest of its files
SCHEME = "models:/"
CURE = "Make another version the champion: mlflow run . -e promote -P version=<number>."
URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def parse_uri(uri: str) -> tuple[str, str, str]:
    """Split `models:/name@alias` or `models:/name/version` into name, alias and version.

    Raises:
        UserError: It is neither, or the name is not allowed.
    """
    if not (parts := URI.fullmatch(uri)):
        raise UserError(
            f"'{uri}' is not the URI of a model: write {SCHEME}<name>@<alias>, for example "
            f"@{CHAMPION}, or {SCHEME}<name>/<version>."
        )
    return check_model_name(parts["name"]), parts["alias"] or "", parts["version"] or ""


def check_model_name(name: str) -> str:
    """The name, if a registered model can have it; it is an alias of artifacts as well.

    Raises:
        UserError: It cannot.
    """
    if name == LATEST or not NAME.fullmatch(name) or TAKEN.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be the name of a registered model: use letters, digits, '_', '-' and "
            "'.' (it is deployment.registered_model in config.yaml)."
        )
    return name


def find_version(uri: str) -> ModelVersion | None:
    """The version that a URI names in the registry; None if no version has that alias.

    Raises:
        UserError: The URI is malformed, or there is no such version.
    """
    client, (name, alias, version) = MlflowClient(), parse_uri(uri)
    try:
        if alias:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        if alias:
            return None
        raise UserError(
            f"The model '{name}' has no version {version}. Its versions: {_numbers(name)}."
        ) from error


def model_in_use(uri: str) -> ModelVersion:
    """As `find_version`, but a version must have the alias.

    Raises:
        UserError: No version has it; the message says how to give it to one.
    """
    if version := find_version(uri):
        return version
    name, alias, _ = parse_uri(uri)
    raise UserError(
        f"No version of the model '{name}' is the {alias}. Its versions: {_numbers(name)}. "
        "Make one of them the champion: mlflow run . -e promote -P version=<number>; or register "
        "the newest model: main.rerun=[evaluation]."
    )


def fetch_model(model: ModelVersion | str, folder: str = "") -> Path:
    """A verified copy of a version's files; load a model from nothing else.

    Loading a model executes what is in its files, and whoever can write where they are kept could
    have changed them. Nobody else can change the copy.

    Args:
        model: A version, or its URI.
        folder: Where to put the copy; a new temporary folder if empty.

    Raises:
        UserError: There is no such version, or its files are not those that were registered.
    """
    version = model_in_use(model) if isinstance(model, str) else model
    name, expected = f"Version {version.version} of {version.name}", digest_on_record(version)
    folder = folder or tempfile.mkdtemp(prefix="model-")
    try:
        copy = Path(mlflow.artifacts.download_artifacts(version.source, dst_path=folder))
    except (MlflowException, shutil.Error) as error:  # of a link, for example
        raise UserError(f"{name} cannot be copied from {version.source}: {error} {CURE}") from error
    if (digest := digest_of(copy)) != expected:
        raise UserError(
            f"{name} was changed after it was registered: expected SHA-256 {expected}, found "
            f"{digest} at {version.source}. {CURE}"
        )
    return copy


def digest_on_record(version: ModelVersion) -> str:
    """The SHA-256 of a version's files: a tag of the version, or of the model registered by hand.

    Raises:
        UserError: Neither has that tag.
    """
    tags = version.tags
    if DIGEST not in tags and (model_id := re.search(r"\bm-[0-9a-f]{32}\b", version.source)):
        with suppress(MlflowException):  # the logged model was deleted
            tags = MlflowClient().get_logged_model(model_id[0]).tags
    if DIGEST not in tags:
        raise UserError(
            f"Version {version.version} of {version.name} cannot be verified, for the SHA-256 of "
            "its files is not on record: publish the model with log_model, and register that one."
        )
    return tags[DIGEST]


def pin_model(uri: str) -> str:
    """The same model by its version, `models:/name/3`; unchanged if no version has the alias."""
    version = find_version(uri)
    return f"{SCHEME}{version.name}/{version.version}" if version else uri


def versions_of(name: str, where: str = "") -> list[ModelVersion]:
    """The versions of a registered model, the newest first; none if it is not registered."""
    query = f"name = '{check_model_name(name)}'{where}"
    search = MlflowClient().search_model_versions
    return [*all_pages(search, query, order_by=["version_number DESC"])]


def _numbers(name: str) -> str:
    return ", ".join(str(each.version) for each in reversed(versions_of(name))) or "none"


def log_model(save: Callable[..., Any], name: str, description: str, **options: Any) -> Artifact:
    """Publish a model of the current run, as an MLflow model and as an artifact of that name.

    Its digest is that of the files as they were saved here. MLflow's own `log_model` leaves them
    only in the artifact store, where others may be able to write.

    Args:
        save: The MLflow function for this kind of model, such as `mlflow.sklearn.save_model`.
        name: The name of both.
        description: One sentence for the reader.
        options: What `save` takes, except the path.
    """
    client, folder = MlflowClient(), Path(tempfile.mkdtemp(prefix="model-")) / check_name(name)
    run = client.get_run(current_run_id())
    model = mlflow.initialize_logged_model(name, params=run.data.params)
    about = Model(run_id=run.info.run_id, model_id=model.model_id)
    save(path=str(folder), mlflow_model=about, **options)
    client.log_model_artifacts(model.model_id, str(folder))
    mlflow.finalize_logged_model(model.model_id, "READY")
    mlflow.log_outputs([LoggedModelOutput(model.model_id, step=0)])
    mlflow.log_metrics(run.data.metrics, model_id=model.model_id)
    client.set_logged_model_tags(model.model_id, {DIGEST: digest_of(folder)})
    return log_artifact(
        folder, name=name, uri=model.artifact_location, type=MODEL_TYPE, description=description
    )


def register_model(reference: str, name: str, tags: dict[str, str]) -> ModelVersion:
    """Register a model artifact, `name:version`, once, and make its version the challenger.

    Raises:
        UserError: No such artifact, or its run logged no MLflow model with these bytes.
    """
    artifact = find_artifact(*parse_reference(reference))
    versions = versions_of(name, f" and tags.artifact = '{artifact.reference}'")
    source = f"{SCHEME}{logged_model_of(artifact).model_id}"
    version = next((each for each in versions if each.source == source), None)
    if not version:
        tags = {"artifact": artifact.reference, DIGEST: artifact.digest, **tags}
        version = mlflow.register_model(source, name, tags=tags)
    MlflowClient().set_registered_model_alias(name, CHALLENGER, version.version)
    return version


def logged_model_of(artifact: Artifact) -> LoggedModel:
    """The MLflow model that is this artifact, among those that its run logged.

    Raises:
        UserError: None of them is.
    """
    client = MlflowClient()
    logged = client.get_run(artifact.run_id).outputs.model_outputs
    models = [client.get_logged_model(output.model_id) for output in logged]
    for model in models:
        if artifact.digest == model.tags.get(DIGEST) or artifact.uri == model.artifact_location:
            return model
    raise UserError(
        f"None of the MLflow models that the run of artifact '{artifact.reference}' logged "
        f"({', '.join(model.name for model in models) or 'there are none'}) has its bytes: publish "
        "it with log_model of _utils/models/registry.py."
    )


def check_training_data(model: str, data: str) -> None:
    """Refuse a model that was trained on other data; both are artifacts, `name:version`.

    Raises:
        UserError: Its run recorded inputs, and the data are not among what it was made from.
    """
    here = MlflowClient().get_run(current_run_id()).info.experiment_id
    model, data = (find_artifact(*parse_reference(each), here).reference for each in (model, data))
    sources = lineage(model)
    del sources[parse_reference(model)[0]]
    if sources and data not in sources.values():
        trained_on = sources.get(parse_reference(data)[0]) or ", ".join(sources.values())
        raise UserError(
            f"Model '{model}' was trained on {trained_on}, not on '{data}': train it again on "
            "that, after the component that makes it, or evaluate it with what it was trained on."
        )


def promote(version: ModelVersion, reason: str, instead_of: ModelVersion | None) -> bool:
    """Make a version the champion, with this reason, and name what it was made from after it.

    Returns:
        False if `instead_of` (None for no version) is not the champion any more: nothing changes.
    """
    client, now = MlflowClient(), find_version(f"{SCHEME}{version.name}@{CHAMPION}")
    if (now and now.version) != (instead_of and instead_of.version):
        return False
    if artifact := version.tags.get("artifact"):
        for reference in lineage(artifact).values():
            set_alias(reference, version.name)
    client.update_model_version(version.name, version.version, description=reason)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    return True


def lineage(reference: str) -> dict[str, str]:
    """An artifact, those that it was made from, those these were made from, and so on.

    Returns:
        References by name, of each name the nearest: raw data that others were added to have the
        name of those before.
    """
    nearest = {parse_reference(reference)[0]: reference}
    queue = [reference]
    for each in queue:  # grows meanwhile: one generation after the other
        tags = MlflowClient().get_run(find_artifact(*parse_reference(each)).run_id).data.tags
        for name in sorted(key[6:] for key in tags if key.startswith("input.")):
            parent = f"{name}:{tags[f'input.{name}']}"
            nearest.setdefault(name, parent)
            queue += [parent] * (parent not in queue)
    return nearest
