"""What holds for all artifacts, shown with the store `mlflow`."""

import re
from pathlib import Path

import mlflow
import pytest
from conftest import NO_LINKS, not_on_windows
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from _utils.artifacts import log_artifact, set_alias, use_artifact
from _utils.artifacts.index import all_experiments, find_artifact, parse_reference
from _utils.artifacts.stores import component_run, mlflow_store
from _utils.component import shell
from _utils.errors import UserError
from _utils.pipeline.component import Component
from _utils.pipeline.reuse import find_run, make_reusable

from .conftest import component, read

ABC = "ba7816bf8f01"  # SHA-256 of "abc", the first 12 digits


@pytest.fixture(autouse=True)
def experiment(scratch_store):
    mlflow.set_experiment("artifacts")


def test_a_version_is_the_content_and_latest_the_newest_published(publish):
    first, second, third = (publish("turns.txt", text) for text in ["abc", "two", "abc"])
    assert first.version == third.version == ABC != second.version
    assert read("turns.txt:latest") == "abc"
    assert read(second.reference) == "two"


def test_an_alias_names_one_version_until_it_is_given_to_another(publish):
    first, second = (publish("named.txt", text) for text in ["one", "two"])
    for artifact, text in [(first, "one"), (second, "two"), (first, "one")]:
        set_alias(artifact.reference, "champion")
        assert read("named.txt:champion") == text
    with pytest.raises(UserError, match=r"'named.txt:nobody' was never published"):
        read("named.txt:nobody")


@pytest.mark.parametrize("alias", ["latest", "v1", "0123456789ab", "a b", ""])
def test_an_alias_that_is_not_allowed(alias):
    with pytest.raises(UserError, match=f"'{alias}' cannot be an alias"):
        set_alias("any:latest", alias)


@pytest.mark.parametrize(
    "name", ["", "a b.txt", "../a", "ä.txt", ".hidden", "a:b", "a.", "Aux.csv", "nul"]
)
def test_a_name_that_is_not_allowed(name, tmp_path):
    with pytest.raises(UserError, match="cannot be an artifact's name"):
        log_artifact(tmp_path, name=name or " ", type="text")


@pytest.mark.parametrize("reference", ["", "a", "a:", ":latest", "a:ä", "a:b:latest", "a:.b"])
def test_a_reference_that_is_none(reference):
    with pytest.raises(UserError, match="is not an artifact reference"):
        parse_reference(reference)


def test_a_store_that_is_not_there(monkeypatch):
    monkeypatch.setenv("ARTIFACT_STORE", "mlfow")
    with pytest.raises(UserError, match="no artifact store 'mlfow': use mlflow"):
        component_run("any run")


def test_only_finished_runs_of_the_experiment_have_the_latest(publish):
    publish("failed.txt", "abc", status="FAILED")
    artifact = publish("far.txt", "far", experiment_id=mlflow.create_experiment("far away"))
    assert find_artifact("far.txt", artifact.version) == artifact
    assert read(artifact.reference) == "far"
    for reference in ("failed.txt:latest", "far.txt:latest"):
        with pytest.raises(UserError, match=f"'{reference}' was never published"):
            read(reference)


def test_a_missing_version_or_name_lists_what_exists(publish):
    artifact = publish("listed.txt", "abc")
    with pytest.raises(UserError, match=f"'listed.txt:0{{12}}'.* Available: {artifact.reference}"):
        read("listed.txt:000000000000")
    for version in ("latest", "000000000000"):
        with pytest.raises(UserError, match=r"'liste:.*Available: listed.txt"):
            read(f"liste:{version}")


def test_lineage_leads_from_a_run_to_artifacts_and_back(publish):
    artifact = publish("lineage.txt", "lineage")
    with component() as run:
        use_artifact("lineage.txt:latest")
    (recorded,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert (recorded.dataset.name, recorded.dataset.digest) == ("lineage.txt", artifact.version)
    for tag, run_id in {"input": run.info.run_id, "output": artifact.run_id}.items():
        query = f"tags.`{tag}.lineage.txt` = '{artifact.version}'"
        (found,) = mlflow.search_runs(filter_string=query, output_format="list")
        assert found.info.run_id == run_id


def test_an_input_that_another_process_has_just_recorded(publish, monkeypatch):
    """MLflow looks for the data set and then adds it: the second process to add it fails."""
    artifact, original = publish("recorded.txt", "recorded"), MlflowClient.log_inputs

    def fail(*arguments):
        monkeypatch.setattr(MlflowClient, "log_inputs", original)
        raise MlflowException("UNIQUE constraint failed: datasets.experiment_id")

    monkeypatch.setattr(MlflowClient, "log_inputs", fail)
    with mlflow.start_run() as run:
        use_artifact(artifact.reference)
    (recorded,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert recorded.dataset.digest == artifact.version


@not_on_windows("no file can have most of these names")
@pytest.mark.parametrize("name", [*"#%?*:\\", "a%20b", "a\nb", "a ", "a."])
def test_file_names_that_not_every_store_keeps_are_refused(tmp_path, name):
    path = tmp_path / "folder" / name
    path.parent.mkdir()
    path.touch()
    for each in (path, path.parent):
        with pytest.raises(UserError, match="name the file without"):
            log_artifact(each, name="named", type="text")


@NO_LINKS
def test_folders_that_not_every_store_keeps_are_refused(tmp_path):
    (tmp_path / "empty/inner").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/file").touch()
    (tmp_path / "linked/link").symlink_to(tmp_path / "empty", target_is_directory=True)
    with pytest.raises(UserError, match="There is nothing at"):
        log_artifact(tmp_path / "empty", type="text")
    with pytest.raises(UserError, match="publish a copy instead"):
        log_artifact(tmp_path / "linked", type="text")


def test_a_long_description_is_cut(tmp_path):
    (tmp_path / "described.txt").write_text("described")
    with mlflow.start_run():
        artifact = log_artifact(tmp_path / "described.txt", type="text", description='"' * 10_000)
    assert find_artifact("described.txt", artifact.version).description == '"' * 1000


def test_more_experiments_than_a_page_of_mlflow(publish, monkeypatch, tmp_path):
    client, original = MlflowClient(), MlflowClient.search_experiments

    def short(*arguments, **options):
        return original(*arguments, **options | {"max_results": 2})

    monkeypatch.setattr(MlflowClient, "search_experiments", short)
    artifact = publish("paged.txt", "paged")
    created = [client.create_experiment(f"page {number} {tmp_path}") for number in range(5)]
    assert {*created} < {*all_experiments()}
    assert find_artifact("paged.txt", artifact.version, created[0]) == artifact
    for experiment_id in created:
        client.delete_experiment(experiment_id)


def test_what_was_deleted_is_told_with_the_command_that_restores_it(publish):
    client, experiment_id = MlflowClient(), mlflow.create_experiment("to be deleted")
    artifact = publish("deleted.txt", "deleted", experiment_id=experiment_id)
    set_alias(artifact.reference, "favourite")
    client.delete_run(artifact.run_id)
    for version in (artifact.version, "latest", "favourite"):
        with pytest.raises(UserError, match=f"deleted with run {artifact.run_id}") as raised:
            find_artifact("deleted.txt", version, experiment_id)
        assert f"`mlflow runs restore --run-id {artifact.run_id}`" in str(raised.value)
    client.delete_experiment(experiment_id)
    with pytest.raises(UserError, match=f"deleted with run {artifact.run_id}") as raised:
        find_artifact("deleted.txt", artifact.version)
    assert f"`mlflow experiments restore --experiment-id {experiment_id}`" in str(raised.value)
    client.restore_experiment(experiment_id)
    assert read(artifact.reference) == "deleted"


@not_on_windows("the test takes a path for its URI")
class TestCopies:
    """The same content, published more than once."""

    @pytest.fixture
    def copies(self, publish, tmp_path):
        """One in this experiment, and two in another one; the newest comes last."""
        other = mlflow.create_experiment(f"other {tmp_path}")
        places = [{}, {"experiment_id": other}, {"experiment_id": other}]
        return [publish("copied.txt", str(tmp_path), **place) for place in places]

    def test_the_own_experiment_comes_first_then_the_newest_that_can_be_used(self, copies, capsys):
        own, older, newer = copies
        for artifact, break_it in [
            (own, Path.unlink),
            (newer, lambda path: path.write_text("changed")),
            (older, Path.unlink),
        ]:
            with component(experiment_id=mlflow.get_run(own.run_id).info.experiment_id):
                assert str(use_artifact(own.reference)) == artifact.uri
            break_it(Path(artifact.uri))
        with pytest.raises(UserError, match=f"is gone from {older.uri}"):
            read(own.reference)
        printed = capsys.readouterr().err
        assert f"is gone from {own.uri}" in printed and f"Trying the copy at {newer.uri}" in printed
        assert re.search(f"was changed after it was published.* at {newer.uri}", printed)

    def test_a_place_that_cannot_be_reached_is_passed_over(self, copies, monkeypatch, capsys):
        own, _, newest = copies
        reach = mlflow_store.is_present

        def fail(artifact):
            if artifact.uri == own.uri:
                raise RuntimeError("NoCredentialsError")
            return reach(artifact)

        monkeypatch.setattr(mlflow_store, "is_present", fail)
        Path(own.uri).unlink()
        for run_id in (newest.run_id, own.run_id):
            make_reusable(run_id, {"of": own.uri})
        with component():
            assert str(use_artifact(own.reference)) == newest.uri
        assert "NoCredentialsError" in capsys.readouterr().err
        step, key = Component("step", Path(), {}), {"of": own.uri}
        assert find_run(step, key).info.run_id == newest.run_id
        Path(newest.uri).unlink()
        assert find_run(step, key) is None


def test_under_main_only_what_the_plan_pinned_is_used(publish, monkeypatch, capsys):
    artifact = publish("used.txt", "abc")
    set_alias(artifact.reference, "best")
    with mlflow.start_run():
        assert use_artifact("used.txt:best").read_text() == "abc"
        monkeypatch.setenv("ARTIFACTS_PINNED", "true")  # as a plan does
        for reference in ("used.txt:latest", "used.txt:best"):
            for use in (use_artifact, lambda reference: shell.main(["use", reference])):
                with pytest.raises(UserError, match=f"'{reference}' has no version from main.py"):
                    use(reference)
        shell.main(["use", artifact.reference])
    assert capsys.readouterr().out.strip().endswith("used.txt")
