"""The registry of a real store: versions, aliases, and what a champion was made from."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest
from conftest import NO_LINKS
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.utils.file_utils import local_file_uri_to_path

from _utils.artifacts import is_present, log_artifact, use_artifact
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import find_artifact
from _utils.errors import UserError, explain
from _utils.models import publish
from _utils.models.lineage import check_training_data, lineage, promote, register_model
from _utils.models.registry import (
    fetch_model,
    find_version,
    model_in_use,
    parse_uri,
    pin_model,
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
            references.append(log_model("forest", number).reference)
    return references


def log_model(name, content):
    """A model without a framework, whose import would take most of the time."""

    def save(folder, about):
        folder.mkdir()
        about.add_flavor("text", content=content)
        about.save(str(folder / "MLmodel"))

    return publish.publish(save, name, "A text")


def log_as_mlflow_does(folder, name):
    """A model that is no artifact; returns it and its files."""
    model = mlflow.initialize_logged_model(name)
    files = folder / model.model_id
    files.mkdir()
    (files / "MLmodel").write_text(f"flavors: {{}}\nmodel_id: {model.model_id}")
    MlflowClient().log_model_artifacts(model.model_id, str(files))
    mlflow.log_outputs([LoggedModelOutput(model.model_id, step=0)])
    mlflow.finalize_logged_model(model.model_id, "READY")
    return model, files


def test_the_first_is_registered_once_and_challenger(models):
    version = register_model(models[0], "cars", {"mae": "1.5"})
    again = register_model(models[0], "cars", {})
    assert str(again.version) == str(version.version) == "1"
    digest = find_artifact(*models[0].split(":")).digest
    assert version.tags == {"artifact": models[0], "sha256": digest, "mae": "1.5"}
    assert find_version("models:/cars@challenger").version == version.version
    assert find_version("models:/cars@champion") is None
    assert pin_model("models:/cars@champion") == "models:/cars@champion"


@pytest.mark.slow
def test_a_champion_and_what_it_was_made_from_have_names(models):
    first, second = (register_model(reference, "trucks", {}) for reference in models)
    for version, number in [(first, "one"), (second, "two"), (first, "one")]:
        before = find_version("models:/trucks@champion")
        assert promote(version, f"it is {number}", instead_of=before)
        assert pin_model("models:/trucks@champion") == f"models:/trucks/{version.version}"
        assert model_in_use("models:/trucks@champion").description == f"Promoted: it is {number}"
        assert find_artifact("forest", "trucks").reference == version.tags["artifact"]
        with mlflow.start_run():
            assert use_artifact("raw:trucks").read_text() == f"raw {number}"


def test_one_that_another_pipeline_promoted_meanwhile_is_not_overwritten(models):
    first, second = (register_model(reference, "buses", {}) for reference in models)
    assert promote(first, "the first", instead_of=None)
    assert not promote(second, "found no champion when it began", instead_of=None)
    assert find_version("models:/buses@champion").version == first.version


def test_what_is_no_model_of_mlflow_is_not_registered(models):
    with pytest.raises(UserError, match=r"'raw:\w+' logged \(there are none\).*log_model"):
        register_model("raw:latest", "raw", {})
    assert versions_of("raw") == []


@pytest.mark.slow
def test_of_several_logged_models_the_one_that_is_the_artifact_is_registered(models, tmp_path):
    with mlflow.start_run():
        artifacts = [log_model(f"forest_{number}", str(number)) for number in range(3)]
        model, files = log_as_mlflow_does(tmp_path, "of_mlflow")
        artifacts += [log_artifact(files, name="own", type="model", uri=model.artifact_location)]
        (files / "MLmodel").write_text("flavors: {}")
        another = log_artifact(files, name="another", type="model")
    for artifact in artifacts:
        version = register_model(artifact.reference, "several", {})
        assert digest_of(fetch_model(version)) == artifact.digest
    with pytest.raises(UserError, match=r"None of the MLflow models .*forest_0.* has its bytes"):
        register_model(another.reference, "several", {})


@pytest.mark.slow
def test_the_nearest_of_a_name_gets_the_alias(models, tmp_path):
    """Raw data that others were added to, twice; and a model that began with an older one."""
    raw = None
    for number in range(3):
        (tmp_path / "grown").write_text(f"grown {number}")
        with mlflow.start_run():
            use_artifact(raw.reference if raw else "raw:latest")
            raw = log_artifact(tmp_path / "grown", type="data")
    with mlflow.start_run():
        use_artifact(models[0])
        use_artifact(raw.reference)
        model = log_model("forest", "grown")
    assert promote(register_model(model.reference, "grown", {}), "", instead_of=None)
    assert find_artifact("grown", "grown") == raw
    assert find_artifact("forest", "grown") == model
    assert find_artifact("data.txt", "grown").name == "data.txt"  # by way of the older model


@pytest.mark.slow
def test_a_model_is_evaluated_with_what_it_was_trained_on(models):
    def check(model, data):
        with mlflow.start_run():
            check_training_data(model, data)

    first, second = (lineage(each) for each in models)
    check(models[0], first["data.txt"])
    check(models[0], first["raw"])
    check("raw:latest", "forest:latest")  # recorded no inputs
    told = f"'{models[0]}' was trained on {first['data.txt']}, not on '{second['data.txt']}'"
    with pytest.raises(UserError, match=told):
        check(models[0], second["data.txt"])
    with pytest.raises(UserError, match=f"not on '{second['data.txt']}'"):
        check(models[0], "data.txt:latest")


def test_raw_data_that_others_were_added_to_are_not_in_the_lineage(scratch_store, tmp_path):
    """Else the next retraining would add its data to them, and lose those added before."""

    def make(used: list[str], **made: str) -> list[str]:
        with mlflow.start_run():
            for reference in used:
                use_artifact(reference)
            for name, content in made.items():
                (tmp_path / name).write_text(content)
            return [
                log_artifact(tmp_path / name, name=name, type="data").reference for name in made
            ]

    old, _ = make([], table="old", contract="the same")
    new, contract = make([old], table="new", contract="the same")
    (model,) = make([contract, *make([new], train_data="new")], forest="new")
    assert lineage(model)["table"] == new


@pytest.mark.parametrize("tamper", ["change", pytest.param("link", marks=NO_LINKS)])
def test_what_was_changed_is_never_loaded(models, tmp_path, tamper):
    with mlflow.start_run():
        model = log_model("forest", tamper)
    version = register_model(model.reference, "safe", {})
    files = Path(local_file_uri_to_path(model.uri))
    if tamper == "change":
        (files / "MLmodel").write_text("flavors: {python_function: {loader_module: evil}}")
    if tamper == "link":
        (tmp_path / "evil").mkdir()
        (tmp_path / "evil/evil.py").write_text("print('executed')")
        (files / "code").symlink_to(tmp_path / "evil")
    for uri in (version, f"models:/safe/{version.version}"):
        with pytest.raises(UserError, match=f"Version {version.version} of safe (was|cannot)"):
            fetch_model(uri)
    client = MlflowClient()
    client.delete_model_version_tag("safe", version.version, "sha256")  # as older versions are
    with pytest.raises(UserError, match=r"of safe (was changed after|cannot)"):
        fetch_model(f"models:/safe/{version.version}")
    with mlflow.start_run(), pytest.raises(UserError, match="was changed after it was published"):
        use_artifact(model.reference)


@pytest.mark.parametrize("name", ["../forest", "/forest", "a forest"])
def test_a_model_has_the_name_of_an_artifact(name):
    with pytest.raises(UserError, match="cannot be an artifact's name"):
        publish.publish(shutil.rmtree, name, "never called")


def test_what_is_loaded_is_a_copy_that_nobody_else_can_change(models):
    version = register_model(models[0], "copied", {})
    with mlflow.start_run():
        for path in (use_artifact(models[0]), fetch_model(version)):
            modes = [each.stat().st_mode & 0o077 for each in (path, path.parent)]
            assert 0 in modes or os.name == "nt"  # where a folder has no mode
            assert "mlruns" not in path.parts


@pytest.mark.parametrize("raced", [False, True])
def test_the_digest_is_of_what_was_saved_and_not_of_what_lies_there(models, monkeypatch, raced):
    def upload_and_be_overtaken(client, model_id, folder):
        upload(client, model_id, folder)
        place = local_file_uri_to_path(client.get_logged_model(model_id).artifact_location)
        Path(place, "MLmodel").write_text(
            "flavors: {python_function: {loader_module: evil}}", encoding="utf-8"
        )

    upload = MlflowClient.log_model_artifacts
    if raced:
        monkeypatch.setattr(MlflowClient, "log_model_artifacts", upload_and_be_overtaken)
    with mlflow.start_run():
        mlflow.log_metric("mae", 1.5)
        artifact = log_model("saved", str(raced))
    if raced:
        with mlflow.start_run(), pytest.raises(UserError, match="changed after it was published"):
            use_artifact(artifact.reference)
        with pytest.raises(UserError, match="changed after it was registered"):
            fetch_model(register_model(artifact.reference, "saved", {}))
        return
    assert is_present(artifact)
    version = register_model(artifact.reference, "saved", {})
    model = Model.load(str(fetch_model(version)))
    assert model.flavors == {"text": {"content": "False"}}
    logged = mlflow.get_logged_model(model.model_id)
    assert logged.status == "READY" and logged.metrics[0].value == 1.5


def test_a_version_is_verified_by_what_is_on_record(models, tmp_path):
    """One that was registered by hand, of a model that was published or was not."""
    with mlflow.start_run():
        published = log_model("forest", "by hand")
        unpublished, _ = log_as_mlflow_does(tmp_path, "forest")
    model_id = Path(local_file_uri_to_path(published.uri)).parent.name
    version = mlflow.register_model(f"models:/{model_id}", "by_hand")
    assert digest_of(fetch_model(version)) == published.digest
    version = MlflowClient().create_model_version("by_hand", published.uri)
    assert digest_of(fetch_model(version)) == published.digest
    version = mlflow.register_model(f"models:/{unpublished.model_id}", "by_hand")
    with pytest.raises(UserError, match=r"3 of by_hand cannot be verified, .* not on record"):
        fetch_model(version)


def test_what_mlflow_writes_beside_a_model_is_no_change(models):
    version = register_model(models[0], "beside", {})
    MlflowClient().set_registered_model_alias("beside", "champion", version.version)
    path = Path(mlflow.artifacts.download_artifacts("models:/beside@champion"))
    assert (path / "registered_model_meta").is_file() and "mlruns" in path.parts
    artifact = find_artifact(*models[0].split(":"))
    assert is_present(artifact) and digest_of(path) == artifact.digest
    for name in ".DS_Store", "desktop.ini":  # file managers write beside it too
        (path / name).write_text("a view")
    assert is_present(artifact)
    fetch_model(version)
    with mlflow.start_run():
        use_artifact(models[0])
    (path / "sub").mkdir()
    (path / "sub/registered_model_meta").write_text("not MLflow's")
    assert not is_present(artifact) and digest_of(path) != artifact.digest
    shutil.rmtree(path / "sub")


@pytest.mark.parametrize("name", ["o'brien", "é", "", "latest", "v1"])
def test_a_name_that_no_model_can_have_is_told(models, name):
    with pytest.raises(UserError, match=f"'{name}' cannot be the name of a registered model"):
        register_model(models[0], name, {})
    if name:
        with pytest.raises(UserError, match="cannot be the name of a registered model"):
            find_version(f"models:/{name}@champion")


def test_without_a_champion_mlflows_own_error_is_a_line_too(models):
    register_model(models[0], "nobody", {})
    for name in ("nobody", "unheard_of"):
        with pytest.raises(MlflowException) as error:
            mlflow.artifacts.download_artifacts(f"models:/{name}@champion")
        assert "-e promote" in explain(error.value) and "\n" not in explain(error.value)
        with pytest.raises(UserError, match="-e promote"):
            fetch_model(f"models:/{name}@champion")


def test_what_is_not_there_is_told_with_what_is(models):
    register_model(models[0], "vans", {})
    with pytest.raises(UserError, match=r"'vans' has no version 7. Its versions: 1\."):
        find_version("models:/vans/7")
    with pytest.raises(UserError, match=r"is the champion. Its versions: 1\. .*-e promote"):
        model_in_use("models:/vans@champion")
    with pytest.raises(UserError, match="Its versions: none"):
        model_in_use("models:/nothing@champion")


@pytest.mark.parametrize("uri", ["models:/x", "models:/x@", "models:/x/latest", "models:/x/1/2"])
def test_what_is_no_uri_of_a_model(uri):
    with pytest.raises(UserError, match=f"'{uri}' is not the URI of a model: write"):
        parse_uri(uri)
