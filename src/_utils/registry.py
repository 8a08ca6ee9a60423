"""The model in use: a version of MLflow's model registry that has the alias `champion`.

What a champion was made from, from the model back to the raw data, can be named too: each of
those artifacts gets the name of the registered model as an alias, `raw_data.parquet:<model>`.
"""

import re
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from _utils.artifacts import set_alias
from _utils.errors import UserError
from _utils.index import all_pages, find_artifact, parse_reference

CHAMPION, CHALLENGER = "champion", "challenger"
SCHEME = "models:/"
URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def parse_uri(uri: str) -> tuple[str, str, str]:
    """Split `models:/name@alias` or `models:/name/version` into name, alias and version.

    Raises:
        UserError: It is neither.
    """
    if not (found := URI.fullmatch(uri)):
        raise UserError(
            f"'{uri}' names no model: write {SCHEME}<name>@<alias>, say @{CHAMPION}, or "
            f"{SCHEME}<name>/<version>."
        )
    return found["name"], found["alias"] or "", found["version"] or ""


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


def fetch_model(version: ModelVersion, folder: str = "") -> Path:
    """A copy of a version's files, to load it from.

    Where MLflow loads a `models:/` URI whose files lie on this machine, it writes one of its own
    beside them: the artifact would then be taken for changed, and made again.

    Args:
        version: A version in the registry.
        folder: Where to put it; a new temporary folder if empty.
    """
    folder = folder or tempfile.mkdtemp(prefix="model-")
    return Path(mlflow.artifacts.download_artifacts(version.source, dst_path=folder))


def pin_model(uri: str) -> str:
    """The same model by its version, `models:/name/3`; as it is if nothing has the alias."""
    found = find_version(uri)
    return f"{SCHEME}{found.name}/{found.version}" if found else uri


def versions_of(name: str, where: str = "") -> list[ModelVersion]:
    """The versions of a registered model, the newest first; none if it is not registered."""
    query = f"name = '{name}'{where}"
    search = MlflowClient().search_model_versions
    return [*all_pages(search, query, order_by=["version_number DESC"])]


def _numbers(name: str) -> list[int] | str:
    return sorted(int(each.version) for each in versions_of(name)) or "none"


def register_model(reference: str, name: str, tags: dict[str, str]) -> ModelVersion:
    """Let an artifact that is a model be a version in the registry, and the challenger.

    Args:
        reference: The artifact, as `name:version`.
        name: Of the model in the registry; it is made if need be.
        tags: What is to be known of the version.

    Returns:
        The version; the one there is if the artifact was registered before.

    Raises:
        UserError: No such artifact, or its run logged no MLflow model of that name.
    """
    client, artifact = MlflowClient(), find_artifact(*parse_reference(reference))
    known = versions_of(name, f" and tags.artifact = '{artifact.reference}'")
    if known:
        version = known[0]
    else:
        logged = client.get_run(artifact.run_id).outputs.model_outputs
        models = [client.get_logged_model(output.model_id) for output in logged]
        ids = [model.model_id for model in models if model.name == artifact.name]
        if not ids:
            raise UserError(
                f"Artifact '{artifact.reference}' is no MLflow model: the component that makes it "
                f"has to call mlflow.<flavor>.log_model(model, name='{artifact.name}')."
            )
        tags = {"artifact": artifact.reference, **tags}
        version = mlflow.register_model(f"{SCHEME}{ids[-1]}", name, tags=tags)
    client.set_registered_model_alias(name, CHALLENGER, version.version)
    return version


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
        for reference in [artifact, *ancestors(artifact)]:
            set_alias(reference, version.name)
    client.update_model_version(version.name, version.version, description=reason)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    return True


def ancestors(reference: str) -> list[str]:
    """The artifacts that an artifact was made from, and those these were made from, and so on."""
    found, pending = {}, [reference]
    while pending:
        run_id = find_artifact(*parse_reference(pending.pop())).run_id
        tags = MlflowClient().get_run(run_id).data.tags
        inputs = [f"{key[6:]}:{tags[key]}" for key in tags if key.startswith("input.")]
        new = [each for each in inputs if each not in found]
        found |= dict.fromkeys(new)
        pending += new
    return list(found)
