"""Register a model, promote it; and what a model was made from.

The artifacts that a champion was made from, back to the raw data, get the name of the registered
model as an alias: `raw_data.parquet:<model>`.
"""

import io
from contextlib import redirect_stderr

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion

from _utils.artifacts import current_run_id, set_alias
from _utils.artifacts.index import Artifact, find_artifact, parse_reference
from _utils.errors import UserError
from _utils.models.registry import CHALLENGER, CHAMPION, DIGEST, SCHEME, find_version, versions_of


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
        with redirect_stderr(io.StringIO()):  # what MLflow says there, components say better
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
        "it with log_model of _utils.models."
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
    """Make a version the champion, and name what it was made from after it.

    The reason comes before the description that the version has.

    Returns:
        False if `instead_of` (None for no version) is not the champion any more: nothing changes.
    """
    client, now = MlflowClient(), find_version(f"{SCHEME}{version.name}@{CHAMPION}")
    if (now and now.version) != (instead_of and instead_of.version):
        return False
    if artifact := version.tags.get("artifact"):
        for reference in lineage(artifact).values():
            set_alias(reference, version.name)
    words = "\n\n".join(filter(None, [f"Promoted: {reason}", version.description]))
    client.update_model_version(version.name, version.version, description=words)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    return True


def lineage(reference: str) -> dict[str, str]:
    """An artifact, those that it was made from, those these were made from, and so on.

    Returns:
        References by name, of each name the nearest; not the raw data that others were added to.
    """
    nearest = {parse_reference(reference)[0]: reference}
    queue = [reference]
    for each in queue:  # grows meanwhile: one generation after the other
        tags = MlflowClient().get_run(find_artifact(*parse_reference(each)).run_id).data.tags
        for name in sorted(key[6:] for key in tags if key.startswith("input.")):
            parent = f"{name}:{tags[f'input.{name}']}"
            if f"output.{name}" not in tags:
                nearest.setdefault(name, parent)
            queue += [parent] * (parent not in queue)
    return nearest
