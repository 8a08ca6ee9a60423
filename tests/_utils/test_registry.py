"""The registry of a real store: versions, aliases, and what a champion was made from."""

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from _utils.artifacts import log_artifact, use_artifact
from _utils.errors import UserError
from _utils.index import find_artifact
from _utils.registry import (
    find_version,
    model_in_use,
    parse_uri,
    pin_model,
    promote,
    register_model,
    versions_of,
)


@pytest.fixture(scope="module")
def models(scratch_store, tmp_path_factory):
    """Two artifacts that are models, each trained on data that were made from raw data."""
    mlflow.set_experiment("registry")
    folder = tmp_path_factory.mktemp("registry")
    references = []
    for number in ("one", "two"):
        data = folder / "data.txt"
        for name, source in [("raw", None), ("data.txt", "raw:latest")]:
            data.write_text(f"{name} {number}")
            with mlflow.start_run():
                if source:
                    use_artifact(source)
                log_artifact(data, name=name, type="data")
        with mlflow.start_run():
            use_artifact("data.txt:latest")
            references.append(log_model(folder, "forest", number).reference)
    return references


def log_model(folder, name, content):
    """An MLflow model without a framework, whose import would take most of the time."""
    model = mlflow.initialize_logged_model(name)
    MLmodel = folder / "MLmodel"
    MLmodel.write_text(f"flavors: {{}}\nmodel_id: {model.model_id}\n# {content}")
    MlflowClient().log_model_artifact(model.model_id, str(MLmodel))
    mlflow.log_outputs([LoggedModelOutput(model.model_id, step=0)])
    mlflow.finalize_logged_model(model.model_id, "READY")
    return log_artifact(MLmodel, name=name, type="model", uri=model.artifact_location)


def test_the_first_is_registered_once_and_challenger(models):
    version = register_model(models[0], "cars", {"mae": "1.5"})
    again = register_model(models[0], "cars", {})
    assert str(again.version) == str(version.version) == "1"
    assert version.tags == {"artifact": models[0], "mae": "1.5"}
    assert find_version("models:/cars@challenger").version == version.version
    assert find_version("models:/cars@champion") is None
    assert pin_model("models:/cars@champion") == "models:/cars@champion"


def test_a_champion_and_what_it_was_made_from_have_names(models):
    first, second = (register_model(reference, "trucks", {}) for reference in models)
    for version, number in [(first, "one"), (second, "two"), (first, "one")]:
        before = find_version("models:/trucks@champion")
        assert promote(version, f"it is {number}", instead_of=before)
        assert pin_model("models:/trucks@champion") == f"models:/trucks/{version.version}"
        assert model_in_use("models:/trucks@champion").description == f"it is {number}"
        assert find_artifact("forest", "trucks").reference == version.tags["artifact"]
        with mlflow.start_run():
            assert use_artifact("raw:trucks").read_text() == f"raw {number}"


def test_one_that_another_pipeline_promoted_meanwhile_is_not_overwritten(models):
    first, second = (register_model(reference, "buses", {}) for reference in models)
    assert promote(first, "the first", instead_of=None)
    assert not promote(second, "found no champion when it began", instead_of=None)
    assert find_version("models:/buses@champion").version == first.version


def test_what_is_no_model_of_mlflow_is_not_registered(models):
    with pytest.raises(UserError, match=r"'raw:\w+' is no MLflow model: .*log_model"):
        register_model("raw:latest", "raw", {})
    assert versions_of("raw") == []


def test_what_is_not_there_is_told_with_what_is(models):
    register_model(models[0], "vans", {})
    with pytest.raises(UserError, match=r"'vans' has no version 7: there are \[1\]"):
        find_version("models:/vans/7")
    with pytest.raises(UserError, match=r"is the champion; there are \[1\]. .*-e promote"):
        model_in_use("models:/vans@champion")
    with pytest.raises(UserError, match="there are none"):
        model_in_use("models:/nothing@champion")


@pytest.mark.parametrize("uri", ["models:/x", "models:/x@", "models:/x/latest", "models:/x/1/2"])
def test_what_is_no_uri_of_a_model(uri):
    with pytest.raises(UserError, match=f"'{uri}' names no model: write models:/<name>@<alias>"):
        parse_uri(uri)
