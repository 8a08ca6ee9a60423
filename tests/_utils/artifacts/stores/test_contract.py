"""What holds for artifacts whichever store keeps their bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from conftest import ROOT
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from _utils.artifacts import is_present, log_artifact, set_alias, use_artifact
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import all_experiments, find_artifact, outputs_of, parse_reference
from _utils.artifacts.stores import reference_store
from _utils.errors import UserError
from _utils.models.registry import versions_of
from _utils.pipeline.plan import Component
from _utils.pipeline.reuse import find_run, make_reusable

from .conftest import component

ABC = "ba7816bf8f01"  # SHA-256 of "abc", the first 12 digits


def read(reference, **options):
    with component():
        return use_artifact(reference, **options).read_text()


def test_a_file_is_known_by_its_content(publish):
    artifact = publish("file.txt", "abc")
    assert artifact.reference == f"file.txt:{ABC}"
    assert artifact.size == 3
    assert is_present(artifact)
    assert read(artifact.reference) == read("file.txt:latest") == "abc"


def test_the_same_bytes_are_the_same_version_and_latest_is_the_newest_published(publish):
    first, second, third = (publish("turns.txt", text) for text in ["one", "two", "one"])
    assert first.version == third.version != second.version
    assert read("turns.txt:latest") == "one"
    assert read(second.reference) == "two"


def test_a_folder_is_one_artifact(artifact_store, tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/file.txt").write_text("abc")
    (folder / "other.txt").write_text("abcd")
    with component():
        artifact = log_artifact(folder, name="a_folder", type="folder")
    with component():
        path = use_artifact("a_folder:latest")
        assert (path / "inner/file.txt").read_text() == "abc"
        assert path.name == "folder"
    assert artifact.size == 7 and is_present(artifact)
    (folder / "inner/file.txt").rename(folder / "inner/another.txt")
    assert digest_of(folder) != artifact.digest


def test_an_alias_names_one_version_until_it_is_given_to_another(publish):
    first, second = (publish("named.txt", text) for text in ["one", "two"])
    set_alias(first.reference, "champion")
    assert read("named.txt:champion") == "one"
    set_alias(second.reference, "champion")
    assert read("named.txt:champion") == "two"
    set_alias("named.txt:" + first.version, "champion")
    assert read("named.txt:champion") == "one"
    with pytest.raises(UserError, match=r"'named.txt:nobody' was never published"):
        read("named.txt:nobody")


@pytest.mark.parametrize("alias", ["latest", "v1", "0123456789ab", "a b", ""])
def test_an_alias_that_is_not_allowed(publish, alias):
    artifact = publish("aliased.txt", "abc")
    with pytest.raises(UserError, match=f"'{alias}' cannot be an alias"):
        set_alias(artifact.reference, alias)


def test_what_a_failed_run_published_is_not_seen(publish):
    publish("failed.txt", "abc", status="FAILED")
    with pytest.raises(UserError, match="never published"):
        read("failed.txt:latest")


def test_a_digest_is_found_in_any_experiment_and_latest_in_its_own(publish):
    artifact = publish("far.txt", "far")
    other = MlflowClient().create_experiment(f"other than {artifact.run_id}")
    assert find_artifact("far.txt", artifact.version) == artifact
    with pytest.raises(UserError, match=r"'far.txt:latest' was never published"):
        find_artifact("far.txt", "latest", other)


def test_tampered_bytes_are_refused_until_they_are_made_again(publish, artifact_store):
    artifact = publish("tampered.txt", "abc")
    artifact_store(artifact, b"abd")
    with pytest.raises(UserError, match=rf"'tampered.txt:{ABC}'.*expected.*{ABC}.*found"):
        read(artifact.reference)


def test_bytes_that_are_gone(publish, artifact_store):
    artifact = publish("gone.txt", "abcd")
    artifact_store(artifact, None)
    assert not is_present(artifact)
    with pytest.raises(UserError, match=rf"'{artifact.reference}' is gone"):
        read(artifact.reference)


def test_a_missing_version_or_name_lists_what_exists(publish):
    artifact = publish("listed.txt", "abc")
    with pytest.raises(UserError, match=rf"'listed.txt:0{{12}}'.*{artifact.version}"):
        read("listed.txt:000000000000")
    for version in ("latest", "000000000000"):
        with pytest.raises(UserError, match=r"'liste:.*Artifacts there: listed.txt"):
            read(f"liste:{version}")


def test_what_was_published_before_there_were_stores(publish):
    artifact = publish("older.txt", "older")
    known = json.loads(mlflow.get_run(artifact.run_id).data.tags["artifact.older.txt"])
    older = {key: known[key] for key in known.keys() - {"run_id", "store", "snapshot"}}
    MlflowClient().set_tag(artifact.run_id, "artifact.older.txt", json.dumps(older))
    found = find_artifact("older.txt", artifact.version)
    assert (found.run_id, found.store, found.uri) == (artifact.run_id, "mlflow", artifact.uri)


def test_a_wrong_type(publish):
    publish("typed.txt", "abc")
    assert read("typed.txt:latest", type="text") == "abc"
    with pytest.raises(UserError, match="is of type 'text', not 'model'"):
        read("typed.txt:latest", type="model")


@pytest.mark.slow
def test_two_producers_at_once(artifact_store, tmp_path, scratch_store):
    client, producers = MlflowClient(), []
    experiment_id = client.create_experiment(f"two producers {tmp_path}")
    for text in ("one", "two", "one"):
        run = client.create_run(experiment_id)
        path = tmp_path / run.info.run_id / "at_once.txt"
        path.parent.mkdir()
        path.write_text(text)
        command = [
            sys.executable,
            ROOT / "src/_utils/component/shell.py",
            "log",
            path,
            "--type",
            "text",
        ]
        mine = {"MLFLOW_RUN_ID": run.info.run_id, "MLFLOW_TRACKING_URI": scratch_store}
        producers.append((run, subprocess.Popen(command, env={**os.environ, **mine})))
    for run, process in producers:
        assert process.wait() == 0
        client.set_terminated(run.info.run_id)
    versions = [client.get_run(run.info.run_id).data.tags for run, _ in producers]
    one, two, again = (tags["output.at_once.txt"] for tags in versions)
    assert one == again != two
    assert (read(f"at_once.txt:{one}"), read(f"at_once.txt:{two}")) == ("one", "two")


def test_lineage_leads_from_a_run_to_artifacts_and_back(publish):
    artifact = publish("lineage.txt", "lineage")
    with component() as run:
        use_artifact("lineage.txt:latest")
    user = mlflow.get_run(run.info.run_id)
    assert user.data.tags["input.lineage.txt"] == artifact.version
    assert [(data.dataset.name, data.dataset.digest) for data in user.inputs.dataset_inputs] == [
        ("lineage.txt", artifact.version)
    ]
    of_version = f"tags.`input.lineage.txt` = '{artifact.version}'"
    users = mlflow.search_runs(filter_string=of_version, output_format="list")
    assert [each.info.run_id for each in users] == [run.info.run_id]
    producer = mlflow.get_run(find_artifact("lineage.txt", artifact.version).run_id)
    assert producer.data.tags["output.lineage.txt"] == artifact.version


def test_an_input_that_another_process_has_just_recorded(scratch_store, tmp_path, monkeypatch):
    """MLflow looks whether it knows the input, and adds it: the second to do so fails."""
    (tmp_path / "recorded.txt").write_text("recorded")
    with mlflow.start_run():
        artifact = log_artifact(tmp_path / "recorded.txt", type="text")
    original, failures = MlflowClient.log_inputs, iter(range(3))

    def fail_at_first(*arguments):
        if next(failures, None) is not None:
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id")
        original(*arguments)

    monkeypatch.setattr(MlflowClient, "log_inputs", fail_at_first)
    with mlflow.start_run() as run:
        use_artifact(artifact.reference)
    (recorded,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert recorded.dataset.digest == artifact.version


@pytest.mark.parametrize("name", ["", "a b.txt", "../a", "ä.txt", ".hidden", "a:b"])
def test_a_name_that_is_not_allowed(artifact_store, name, tmp_path):
    with mlflow.start_run(), pytest.raises(UserError, match="cannot be an artifact's name"):
        log_artifact(tmp_path, name=name or " ", type="text")


@pytest.mark.parametrize("reference", ["", "a", "a:", ":latest", "a:ä", "a:b:latest", "a:.b"])
def test_a_reference_that_is_none(reference):
    with pytest.raises(UserError, match="names no artifact"):
        parse_reference(reference)


def test_files_of_the_same_name_in_one_run_are_kept_apart(artifact_store, tmp_path):
    """Equal, equal but for case (which Windows and macOS do not tell apart), and a folder's."""
    places = {"one": "data", "two": "data", "three": "DATA", "four": "data"}
    with component() as run:
        for name, file in places.items():
            path = tmp_path / name / file
            path.parent.mkdir()
            if name == "four":
                path.mkdir()
                path /= "data"
            path.write_text(name)
            published = tmp_path / name / file
            assert log_artifact(published, name=f"{name}.{run.info.run_id}", type="text").size
    known = outputs_of(mlflow.get_run(run.info.run_id))
    assert len({artifact.uri.lower() for artifact in known}) == len(places)
    with component():
        for artifact in known:
            path = use_artifact(artifact.reference)
            text = (path / "data" if path.is_dir() else path).read_text()
            assert text == artifact.name.split(".")[0]


@pytest.mark.parametrize("name", ["a b.txt", "ä 中.txt", "[a]+&=;,'.txt", ".hidden", "~$HOME{x}@-"])
def test_names_of_files_that_can_be_used(artifact_store, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / name).write_text(name)
    with component():
        folder = log_artifact(tmp_path / name, name="odd_folder", type="text")
        file = log_artifact(tmp_path / name / name, name="odd_file", type="text")
    assert is_present(file) and is_present(folder)
    with component():
        assert use_artifact(file.reference).read_text() == name
        assert (use_artifact(folder.reference) / name).read_text() == name


@pytest.mark.parametrize(
    "name",
    [
        *"#%?*:\\",
        "a#b",
        "a%20b",
        "a?b",
        "a\nb",
        "a\tb",
        " a",
        "a ",
        "a.",
        "nul",
        "Aux.txt",
        "\udcff",
    ],
)
def test_names_of_files_that_could_never_be_used_are_refused(scratch_store, tmp_path, name):
    path = tmp_path / "folder" / name
    path.parent.mkdir()
    path.touch()
    with mlflow.start_run() as run:
        for each in (path, path.parent):
            with pytest.raises(UserError, match=r"cannot have a file .*: rename it"):
                log_artifact(each, name="named", type="text")
    assert not outputs_of(mlflow.get_run(run.info.run_id))


def test_folders_that_could_never_be_used_are_refused(scratch_store, tmp_path):
    (tmp_path / "empty/inner").mkdir(parents=True)
    (tmp_path / "linked/inner").mkdir(parents=True)
    (tmp_path / "linked/link").symlink_to(tmp_path / "empty", target_is_directory=True)
    with mlflow.start_run():
        with pytest.raises(UserError, match="There is nothing at"):
            log_artifact(tmp_path / "empty", type="text")
        (tmp_path / "linked/file").touch()
        with pytest.raises(UserError, match="a link to a folder: take it out"):
            log_artifact(tmp_path / "linked", type="text")


@pytest.mark.parametrize("letter", ["中", '"', "\n", "a"])
def test_a_description_of_any_length_can_be_read(scratch_store, tmp_path, letter):
    (tmp_path / "described.txt").write_text(letter)
    for length in (1400, 10_000):
        with mlflow.start_run():
            text = letter * length
            artifact = log_artifact(tmp_path / "described.txt", type="text", description=text)
        found = find_artifact("described.txt", artifact.version)
        assert found.description == text or found.description.endswith(f"{letter}…")
        assert text.startswith(found.description.rstrip("…")) and len(found.description) > 1000
        assert read(artifact.reference) == letter


def test_what_cannot_be_recorded_is_refused(scratch_store, tmp_path):
    (tmp_path / "typed.txt").write_text("recorded")
    with mlflow.start_run() as run, pytest.raises(UserError, match="cannot be recorded"):
        log_artifact(tmp_path / "typed.txt", type="t" * 8000)
    assert "output.typed.txt" not in mlflow.get_run(run.info.run_id).data.tags


@pytest.mark.parametrize("record", ["", '{"name": "broken.txt", "descri', "[]", '{"name": 1}'])
def test_a_record_that_cannot_be_read_is_of_its_run_only(scratch_store, tmp_path, record):
    (tmp_path / "broken.txt").write_text("broken")
    with mlflow.start_run() as run:
        artifact = log_artifact(tmp_path / "broken.txt", type="text")
        (tmp_path / "other.txt").write_text("other")
        log_artifact(tmp_path / "other.txt", type="text")
    MlflowClient().set_tag(run.info.run_id, "artifact.broken.txt", record)
    assert read("other.txt:latest") == "other"
    with pytest.raises(UserError, match=f"record of .*{run.info.run_id} cannot be read: make it"):
        find_artifact("broken.txt", "latest", run.info.experiment_id)
    with mlflow.start_run() as again:
        log_artifact(tmp_path / "broken.txt", type="text")
    assert read("broken.txt:latest") == read(artifact.reference) == "broken"
    for each in (run, again):
        MlflowClient().delete_run(each.info.run_id)


class TestMoreThanAPage:
    """MLflow answers in pages."""

    @pytest.fixture(autouse=True)
    def pages_of_two(self, monkeypatch):
        for search in ("search_experiments", "search_runs", "search_model_versions"):
            original = getattr(MlflowClient, search)

            def short(*arguments, original=original, **options):
                arguments = arguments[:4] if original.__name__ == "search_runs" else arguments[:2]
                return original(*arguments, **options | {"max_results": 2})

            monkeypatch.setattr(MlflowClient, search, short)

    def test_artifacts_of_all_experiments_are_found(self, scratch_store, tmp_path):
        client = MlflowClient()
        (tmp_path / "paged.txt").write_text("paged")
        with mlflow.start_run():
            artifact = log_artifact(tmp_path / "paged.txt", type="text")
        made = [client.create_experiment(f"page {number} {tmp_path}") for number in range(5)]
        assert {*made} < {*all_experiments()}
        assert find_artifact("paged.txt", artifact.version, made[0]) == artifact
        for experiment_id in made:
            client.delete_experiment(experiment_id)

    def test_all_versions_of_a_model_are_found(self, scratch_store):
        client = MlflowClient()
        client.create_registered_model("paged")
        for _ in range(5):
            client.create_model_version("paged", "somewhere")
        assert [each.version for each in versions_of("paged")] == [5, 4, 3, 2, 1]


def test_what_was_deleted_is_told_with_the_command_that_restores_it(scratch_store, tmp_path):
    client = MlflowClient()
    experiment_id = client.create_experiment(f"to be deleted {tmp_path}")
    (tmp_path / "deleted.txt").write_text("deleted")
    with mlflow.start_run(experiment_id=experiment_id) as run:
        artifact = log_artifact(tmp_path / "deleted.txt", type="text")
    set_alias(artifact.reference, "favourite")
    run_id = run.info.run_id
    client.delete_run(run_id)
    for version in (artifact.version, "latest", "favourite"):
        with pytest.raises(UserError) as told:
            find_artifact("deleted.txt", version, experiment_id)
        assert f"'deleted.txt:{version}' was deleted with the run {run_id}" in str(told.value)
        assert f"`mlflow runs restore --run-id {run_id}`" in str(told.value)
    client.delete_experiment(experiment_id)
    with pytest.raises(UserError, match="with the experiment 'to be deleted") as told:
        find_artifact("deleted.txt", artifact.version)
    command = f"mlflow experiments restore --experiment-id {experiment_id}"
    assert f"`{command}`" in str(told.value)
    restored = [sys.executable, "-m", *command.split()]
    subprocess.run(restored, env={**os.environ, "MLFLOW_TRACKING_URI": scratch_store}, check=True)
    assert read(artifact.reference) == "deleted"


def run_beside(artifact):
    """A run in the experiment in which this was published."""
    experiment_id = mlflow.get_run(artifact.run_id).info.experiment_id
    return mlflow.start_run(experiment_id=experiment_id)


class TestCopies:
    """The same content, published more than once."""

    @pytest.fixture
    def published(self, scratch_store, tmp_path, monkeypatch):
        """Publishes the same text in an experiment and a store."""
        (tmp_path / "copied.txt").write_text(str(tmp_path))
        monkeypatch.setenv("STORAGE_URL", (tmp_path / "my storage").as_uri())

        def publish(experiment, store, type="text"):
            monkeypatch.setenv("ARTIFACT_STORE", store)
            mlflow.set_experiment(f"{experiment} {tmp_path}")
            with mlflow.start_run():
                return log_artifact(tmp_path / "copied.txt", type=type)

        yield publish
        mlflow.set_experiment("Default")

    @pytest.fixture
    def unreachable(self, monkeypatch):
        def fail(*arguments):
            raise RuntimeError("NoCredentialsError")

        monkeypatch.setattr(reference_store, "get", fail)
        monkeypatch.setattr(reference_store, "is_present", fail)

    @pytest.mark.parametrize("order", [("own", "other"), ("other", "own")])
    def test_those_of_the_own_experiment_are_used(self, published, unreachable, order):
        stores = {"own": "mlflow", "other": "reference"}
        copies = {each: published(each, stores[each]) for each in order}
        with run_beside(copies["own"]):
            assert str(use_artifact(copies["other"].reference)) == copies["own"].uri

    @pytest.mark.parametrize("order", [("own", "other"), ("other", "own")])
    def test_any_that_can_be_reached_are_used(self, published, unreachable, order, capsys):
        stores = {"own": "reference", "other": "mlflow"}
        copies = {each: published(each, stores[each]) for each in order}
        with run_beside(copies["own"]):
            assert str(use_artifact(copies["own"].reference)) == copies["other"].uri
        assert "NoCredentialsError" in capsys.readouterr().err

    def test_a_run_whose_store_cannot_be_reached_is_not_reused(self, published, unreachable):
        near, far = published("other", "mlflow"), published("own", "reference")
        for run_id in (near.run_id, far.run_id):
            make_reusable(run_id, {"of": near.uri})
        component, key = Component("step", Path(), {}), {"of": near.uri}
        assert find_run(component, key).info.run_id == near.run_id
        Path(near.uri).unlink()
        assert find_run(component, key) is None

    def test_what_is_gone_or_was_changed_is_not_used(self, published, capsys):
        copies = [published("own", "mlflow") for _ in range(3)]
        Path(copies[2].uri).unlink()
        Path(copies[1].uri).write_text("changed")
        with mlflow.start_run():
            assert str(use_artifact(copies[0].reference)) == copies[0].uri
        told = capsys.readouterr().err
        assert "is gone from" in told and "was changed after it was published" in told

    def test_if_there_is_none_the_message_lists_what_failed(self, published, unreachable):
        far, near = published("other", "reference"), published("own", "mlflow")
        Path(near.uri).unlink()
        with mlflow.start_run(), pytest.raises(UserError, match="None of the copies of") as told:
            use_artifact(near.reference)
        assert f"{far.uri}: NoCredentialsError" in str(told.value)
        assert f"is gone from {near.uri}" in str(told.value)

    def test_one_of_the_type_that_is_asked_for_is_used(self, published):
        artifact = published("other", "mlflow", "model")
        published("own", "mlflow", "text")
        with mlflow.start_run():
            path = use_artifact(artifact.reference, type="model")
        assert path.read_bytes() == Path(artifact.uri).read_bytes()
        assert str(path) != artifact.uri  # a copy, for a model is executed when it is loaded
