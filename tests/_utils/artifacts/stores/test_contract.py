"""What holds for artifacts whichever store keeps their bytes."""

import os
import subprocess
import sys

import mlflow
import pytest
from conftest import ROOT
from mlflow import MlflowClient

from _utils.artifacts import is_present, log_artifact, use_artifact
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import MODEL_TYPE, outputs_of
from _utils.artifacts.stores import store_names
from _utils.errors import UserError

from ..conftest import component, read

pytestmark = pytest.mark.usefixtures("artifact_store")


def test_a_file(publish):
    artifact = publish("file.txt", "abc")
    assert artifact.size == 3 and is_present(artifact)
    assert read(artifact.reference) == "abc"


def test_a_folder_is_one_artifact(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/file.txt").write_text("abc")
    (folder / "other.txt").write_text("abcd")
    with component():
        artifact = log_artifact(folder, name="a_folder", type="folder")
    assert artifact.size == 7 and is_present(artifact)
    with component():
        path = use_artifact("a_folder:latest")
    assert path.name == "folder" and (path / "inner/file.txt").read_text() == "abc"
    (folder / "inner/file.txt").rename(folder / "inner/another.txt")
    assert digest_of(folder) != artifact.digest


def test_a_model_is_a_copy_of_its_own_since_loading_it_executes_it(publish):
    artifact = publish("model.txt", "abc", type=MODEL_TYPE)
    with component():
        first, second = (use_artifact(artifact.reference) for _ in range(2))
    assert first != second
    first.write_text("changed")
    assert second.read_text() == read(artifact.reference) == "abc"


def test_tampered_bytes_are_refused(publish, artifact_store, tmp_path):
    text = str(tmp_path)  # in no other store
    artifact = publish("tampered.txt", text)
    artifact_store(artifact, b"x" * len(text))
    with pytest.raises(UserError, match=r"'tampered.txt:.*expected.*found.*Publish it again"):
        read(artifact.reference)


def test_bytes_that_are_gone(publish, artifact_store, tmp_path):
    artifact = publish("gone.txt", str(tmp_path))
    artifact_store(artifact, None)
    assert not is_present(artifact)
    with pytest.raises(UserError, match=rf"'{artifact.reference}' is gone"):
        read(artifact.reference)


def test_files_of_the_same_name_in_one_run_are_kept_apart(tmp_path):
    """Equal, equal but for case (which Windows and macOS do not tell apart), and a folder's."""
    places = {"one": "data", "two": "data", "three": "DATA", "four": "data"}
    with component() as run:
        for name, file in places.items():
            path = tmp_path / name / file
            path.mkdir(parents=True) if name == "four" else path.parent.mkdir()
            (path / "data" if name == "four" else path).write_text(name)
            log_artifact(path, name=f"{name}.{run.info.run_id}", type="text")
    artifacts = outputs_of(mlflow.get_run(run.info.run_id))
    assert len({artifact.uri.lower() for artifact in artifacts}) == len(places)
    with component():
        for artifact in artifacts:
            path = use_artifact(artifact.reference)
            text = (path / "data" if path.is_dir() else path).read_text()
            assert text == artifact.name.split(".")[0]


def test_names_of_files_that_can_be_used(tmp_path):
    name = "ä 中 [a]+&=;,'~$HOME{x}@-.txt"
    (tmp_path / name).mkdir()
    (tmp_path / name / name).write_text(name)
    with component():
        folder = log_artifact(tmp_path / name, name="odd_folder", type="text")
        file = log_artifact(tmp_path / name / name, name="odd_file", type="text")
    assert is_present(file) and is_present(folder)
    with component():
        assert use_artifact(file.reference).read_text() == name
        assert (use_artifact(folder.reference) / name).read_text() == name


@pytest.mark.slow
@pytest.mark.parametrize(
    "artifact_store", sorted({"mlflow", "wandb"} & {*store_names()}), indirect=True
)
def test_two_producers_at_once(tmp_path, scratch_store):
    client, producers = MlflowClient(), []
    experiment_id = client.create_experiment(f"two producers {tmp_path}")
    shell = [sys.executable, ROOT / "src/_utils/component/shell.py"]
    for text in ("one", "two"):
        run_id = client.create_run(experiment_id).info.run_id
        path = tmp_path / run_id / "at_once.txt"
        path.parent.mkdir()
        path.write_text(text)
        mine = {**os.environ, "MLFLOW_RUN_ID": run_id, "MLFLOW_TRACKING_URI": scratch_store}
        command = [*shell, "log", path, "--type", "text"]
        producers.append((run_id, subprocess.Popen(command, env=mine)))
    for run_id, process in producers:
        assert process.wait() == 0
        client.set_terminated(run_id)
    one, two = (client.get_run(run_id).data.tags["output.at_once.txt"] for run_id, _ in producers)
    assert (read(f"at_once.txt:{one}"), read(f"at_once.txt:{two}")) == ("one", "two")
