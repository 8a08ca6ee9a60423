"""The model in use: a version of MLflow's model registry that has the alias `champion`.

What a champion was made from, from the model back to the raw data, can be named too: each of
those artifacts gets the name of the registered model as an alias, `raw_data.parquet:<model>`.
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

from _utils.artifacts import (
    AGAIN,
    MODEL_TYPE,
    TAKEN,
    current_run_id,
    log_artifact,
    set_alias,
)
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import (
    LATEST,
    NAME,
    Artifact,
    all_pages,
    check_name,
    find_artifact,
    outputs_of,
    parse_reference,
)
from _utils.errors import UserError

CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST = "sha256"  # tag of a version: the digest of its files
SCHEME = "models:/"
CURE = "Let another version be the champion: mlflow run . -e promote -P version=<number>."
LOGGED = re.compile(r"\bm-[0-9a-f]{32}\b")  # the id of a logged model
URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def parse_uri(uri: str) -> tuple[str, str, str]:
    """Split `models:/name@alias` or `models:/name/version` into name, alias and version.

    Raises:
        UserError: It is neither, or the name is not allowed.
    """
    if not (found := URI.fullmatch(uri)):
        raise UserError(
            f"'{uri}' names no model: write {SCHEME}<name>@<alias>, say @{CHAMPION}, or "
            f"{SCHEME}<name>/<version>."
        )
    check_model_name(found["name"])
    return found["name"], found["alias"] or "", found["version"] or ""


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
    """Look a model up in the registry.

    Args:
        uri: `models:/name@alias` or `models:/name/version`.

    Returns:
        The version; None if nothing has that alias.

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
            f"The model '{name}' has no version {version}: there are {_numbers(name)}."
        ) from error


def model_in_use(uri: str) -> ModelVersion:
    """As `find_version`, but there has to be one.

    Raises:
        UserError: There is none; the message says how to get one.
    """
    if found := find_version(uri):
        return found
    name, alias, _ = parse_uri(uri)
    raise UserError(
        f"No version of the model '{name}' is the {alias}; there are {_numbers(name)}. "
        "Let one be: mlflow run . -e promote -P version=<number>, or register the newest model: "
        "main.rerun=[evaluation]."
    )


def fetch_model(model: ModelVersion | str, folder: str = "") -> Path:
    """A verified copy of a version's files, which is the only thing to load it from.

    Loading a model executes what is in its files, and whoever can write where they are kept could
    have changed them. So they are copied first, for nobody else can change the copy.

    Args:
        model: A version, or as a URI: `models:/name@alias` or `models:/name/version`.
        folder: Where to put the copy; a new temporary folder if empty.

    Raises:
        UserError: There is no such version, its digest is not on record, or its files are not
            those that were registered.
    """
    version = model_in_use(model) if isinstance(model, str) else model
    name, expected = f"Version {version.version} of {version.name}", digest_on_record(version)
    copy = _copy(version.source, name, CURE, folder)
    if (found := digest_of(copy)) != expected:
        shutil.rmtree(copy, ignore_errors=True)
        raise UserError(
            f"{name} was changed after it was registered: expected SHA-256 {expected}, found "
            f"{found} at {version.source}. {CURE}"
        )
    return copy


def digest_on_record(version: ModelVersion) -> str:
    """The SHA-256 of a version's files, as its tags or the run that made them tell it.

    It never comes from the files' own place.

    Raises:
        UserError: It is nowhere.
    """
    if digest := version.tags.get(DIGEST):
        return digest
    if reference := version.tags.get("artifact"):  # registered before there was that tag
        return find_artifact(*parse_reference(reference)).digest
    client = MlflowClient()
    place = client.get_model_version_download_uri(version.name, version.version)
    with suppress(MlflowException):  # registered by hand, of a model that is there no more
        model_id = (LOGGED.search(place) or [""])[0]
        run_id = client.get_logged_model(model_id).source_run_id
        for artifact in outputs_of(client.get_run(run_id)):
            if artifact.uri == place:
                return artifact.digest
    raise UserError(
        f"Version {version.version} of {version.name} cannot be verified, for the SHA-256 of its "
        "files is not on record: publish the model with log_model, and register that one."
    )


def _copy(uri: str, what: str, cure: str, folder: str = "") -> Path:
    """What MLflow keeps there, in a folder of our own.

    Raises:
        UserError: There is what MLflow or the system refuses, such as a link.
    """
    folder = folder or tempfile.mkdtemp(prefix="model-")
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, (MlflowException, shutil.Error)):
            raise UserError(f"{what} cannot be fetched from {uri}: {error} {cure}") from error
        raise


def pin_model(uri: str) -> str:
    """The same model by its version, `models:/name/3`; as it is if nothing has the alias."""
    found = find_version(uri)
    return f"{SCHEME}{found.name}/{found.version}" if found else uri


def versions_of(name: str, where: str = "") -> list[ModelVersion]:
    """The versions of a registered model, the newest first; none if it is not registered."""
    query = f"name = '{check_model_name(name)}'{where}"
    search = MlflowClient().search_model_versions
    return [*all_pages(search, query, order_by=["version_number DESC"])]


def _numbers(name: str) -> list[int] | str:
    return sorted(int(each.version) for each in versions_of(name)) or "none"


def log_model(save: Callable[..., Any], name: str, description: str, **options: Any) -> Artifact:
    """Publish a model of the current run, as an MLflow model and as an artifact.

    Its digest is that of the files as they were saved here. MLflow's own `log_model` leaves them
    only in the artifact store, where others may be able to write.

    Args:
        save: What MLflow saves this kind of model with, such as `mlflow.sklearn.save_model`.
        name: Of both.
        description: One sentence for the reader.
        options: What `save` takes, but for the path.
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
    return log_artifact(
        folder, name=name, uri=model.artifact_location, type=MODEL_TYPE, description=description
    )


def register_model(reference: str, name: str, tags: dict[str, str]) -> ModelVersion:
    """Let an artifact that is a model be a version in the registry, and the challenger.

    Args:
        reference: The artifact, as `name:version`.
        name: Of the model in the registry; it is made if need be.
        tags: What is to be known of the version.

    Returns:
        The version; the one there is if the artifact was registered before.

    Raises:
        UserError: No such artifact, or its run logged no MLflow model with these bytes.
    """
    client, artifact = MlflowClient(), find_artifact(*parse_reference(reference))
    known = versions_of(name, f" and tags.artifact = '{artifact.reference}'")
    source = f"{SCHEME}{logged_model_of(artifact).model_id}"
    version = next((each for each in known if each.source == source), None)
    if not version:
        tags = {"artifact": artifact.reference, DIGEST: artifact.digest, **tags}
        version = mlflow.register_model(source, name, tags=tags)
    client.set_registered_model_alias(name, CHALLENGER, version.version)
    return version


def logged_model_of(artifact: Artifact) -> LoggedModel:
    """The MLflow model whose bytes are the artifact's, of those that its run logged.

    Raises:
        UserError: There is none.
    """
    client = MlflowClient()
    logged = client.get_run(artifact.run_id).outputs.model_outputs
    models = [client.get_logged_model(output.model_id) for output in logged]
    for model in sorted(models, key=lambda model: model.artifact_location != artifact.uri):
        copy = _copy(model.artifact_location, f"'{artifact.reference}'", AGAIN)
        digest = digest_of(copy)
        shutil.rmtree(copy, ignore_errors=True)
        if digest == artifact.digest:
            return model
    raise UserError(
        f"None of the MLflow models that the run of artifact '{artifact.reference}' logged "
        f"({', '.join(model.name for model in models) or 'there are none'}) has its bytes: the "
        "component that makes it has to call mlflow.<flavor>.log_model(model, "
        f"name='{artifact.name}'), and to publish just that with log_artifact."
    )


def check_training_data(model: str, data: str) -> None:
    """Refuse a model that was trained on other data, by what its run and those before recorded.

    Args:
        model: The artifact, as `name:version`.
        data: What it should have been trained on, as `name:version`.

    Raises:
        UserError: Its run recorded inputs, and these are not among what it was made from.
    """
    here = MlflowClient().get_run(current_run_id()).info.experiment_id
    model, data = (find_artifact(*parse_reference(each), here).reference for each in (model, data))
    known = lineage(model)
    own = known.pop(parse_reference(model)[0])
    if known and data not in known.values():
        trained_on = known.get(parse_reference(data)[0]) or ", ".join(known.values())
        raise UserError(
            f"Model '{own}' was trained on {trained_on}, not on '{data}': train it again on that, "
            "after the component that makes it, or evaluate it with what it was trained on."
        )


def promote(version: ModelVersion, reason: str, instead_of: ModelVersion | None) -> bool:
    """Let this version be the champion, and name what it was made from after it.

    Args:
        version: A version in the registry.
        reason: Why; it becomes the version's description.
        instead_of: The champion until now, None if there was none.

    Returns:
        Whether it was done: not if the champion is another one by now.
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
        By name, the nearest of each: raw data that were added to have the name of those before.
    """
    nearest = {parse_reference(reference)[0]: reference}
    queue, seen = [reference], {reference}
    for each in queue:  # grows meanwhile: one generation after the other
        tags = MlflowClient().get_run(find_artifact(*parse_reference(each)).run_id).data.tags
        for name in sorted(key[6:] for key in tags if key.startswith("input.")):
            parent = f"{name}:{tags[f'input.{name}']}"
            nearest.setdefault(name, parent)
            queue += [parent] * (parent not in seen)
            seen.add(parent)
    return nearest
