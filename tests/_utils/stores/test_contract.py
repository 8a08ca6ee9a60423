"""What holds for artifacts whichever store keeps their bytes."""

import json
import os
import subprocess
import sys

import mlflow
import pytest
from conftest import ROOT
from mlflow import MlflowClient

from _utils.artifacts import is_present, log_artifact, set_alias, use_artifact
from _utils.digests import digest_of
from _utils.errors import UserError
from _utils.index import find_artifact, parse_reference

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
        command = [sys.executable, ROOT / "src/_utils/shell.py", "log", path, "--type", "text"]
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


@pytest.mark.parametrize("name", ["", "a b.txt", "../a", "ä.txt", ".hidden", "a:b"])
def test_a_name_that_is_not_allowed(artifact_store, name, tmp_path):
    with mlflow.start_run(), pytest.raises(UserError, match="cannot be an artifact's name"):
        log_artifact(tmp_path, name=name or " ", type="text")


@pytest.mark.parametrize("reference", ["", "a", "a:", ":latest", "a:ä", "a:b:latest", "a:.b"])
def test_a_reference_that_is_none(reference):
    with pytest.raises(UserError, match="names no artifact"):
        parse_reference(reference)
