"""The model in use: the version in MLflow's model registry that has the alias `champion`.

publish.py publishes models, lineage.py registers and promotes them.
"""

import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from _utils.artifacts import TAKEN
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import LATEST, NAME, all_pages
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
        message = f"The model '{name}' has no version {version}. Its versions: {_numbers(name)}."
        raise UserError(message) from error


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
