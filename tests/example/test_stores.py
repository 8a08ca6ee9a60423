"""The whole example with its artifacts in other places, and used from another machine."""

import shlex
import shutil
from pathlib import Path

import pytest
from conftest import Store, clone, store_of, type_in

from _utils.artifacts.index import outputs_of

pytestmark = pytest.mark.slow


def version_of(name, store, experiment):
    """The version of an artifact that was published in an experiment."""
    made = [each for run in store.runs(experiment) for each in outputs_of(run)]
    return next(each.version for each in made if each.name == name)


def run_elsewhere(command, store, experiment, folder, **variables):
    """Run a component by itself, as on a second machine; returns its run."""
    home = folder / "another home"
    home.mkdir()
    options = f"--env-manager local --experiment-name {experiment}-second"
    ran = type_in(clone(folder / "second"), f"{command} {options}", HOME=str(home), **variables)
    assert ran.returncode == 0, ran.stdout
    (run,) = store.runs(f"{experiment}-second")
    return run


def test_reference_in_an_object_store(s3, tracking_server, store, tmp_path):
    variables = {**s3.variables, "MLFLOW_TRACKING_URI": tracking_server.url}
    in_s3 = "main.artifact_store=reference main.storage_url=s3://bucket/folder"
    command = f"python main.py --steps=data_extraction,basic_cleaning {in_s3}"
    ran = type_in(clone(tmp_path / "first"), f"{command} main.experiment_name=in-s3", **variables)
    assert ran.returncode == 0, ran.stdout
    served = Store(tracking_server.url)
    published = [each for run in served.runs("in-s3") for each in outputs_of(run)]
    assert len(published) == 2
    for artifact in published:
        place = f"s3://bucket/folder/{artifact.name}/{artifact.version}/"
        assert artifact.uri.startswith(place)
        assert s3.files.du(artifact.uri) == artifact.size
    runs = served.runs("in-s3")
    assert not [run for run in runs if "artifacts" in served.files(run)]  # of MLflow

    shutil.rmtree(tmp_path / "first")
    # As where all was run on one machine, with its artifacts in MLflow
    there = store.runs(filter_string="attributes.run_name = 'data_split'")[-1]
    version = version_of("clean_data.parquet", served, "in-s3")
    parameters = there.data.params | {"input_artifact": f"clean_data.parquet:{version}"}
    values = " ".join(f"-P {shlex.quote(f'{key}={value}')}" for key, value in parameters.items())
    split = run_elsewhere(
        f"mlflow run src/data_split {values}", served, "in-s3", tmp_path, **variables
    )
    for name in ("train_data.parquet", "test_data.parquet"):
        assert split.data.tags[f"output.{name}"] == there.data.tags[f"output.{name}"]


def test_mlflow_with_a_tracking_server(tracking_server, tmp_path):
    variables = {"MLFLOW_TRACKING_URI": tracking_server.url}
    command = "python main.py --steps=data_extraction main.experiment_name=trial"
    ran = type_in(clone(tmp_path / "first"), command, **variables)
    assert ran.returncode == 0, ran.stdout
    assert f"See the runs: {tracking_server.url}" in ran.stdout
    store = Store(tracking_server.url)
    shutil.rmtree(tmp_path / "first")
    version = version_of("raw_data.parquet", store, "trial")
    command = f"mlflow run src/eda -P input_artifact=raw_data.parquet:{version}"
    eda = run_elsewhere(command, store, "trial", tmp_path, **variables)
    assert eda.data.tags["input.raw_data.parquet"] == version
    assert "eda.html" in store.files(eda)


def test_wandb(wandb_server, tmp_path):
    folder, home = clone(tmp_path / "clone", store=True), tmp_path / "home"
    home.mkdir()
    variables = {**wandb_server.variables, "HOME": str(home)}
    before = {*wandb_server.versions}
    # Scripts, a notebook and an executable
    steps = ["data_extraction", "eda", "basic_cleaning", "data_check"]
    command = f"python main.py --steps={','.join(steps)} main.artifact_store=wandb"
    ran = type_in(folder, command, **variables)
    assert ran.returncode == 0, ran.stdout
    store = store_of(folder)
    components = store.children(store.pipeline())
    assert [run.info.run_name for run in components] == steps
    for run in components:
        there = wandb_server.runs[run.info.run_id]
        assert (there["project"], there["group"]) == ("mlflow_pipeline", "development")
        assert there["job_type"] == run.info.run_name and there["state"] == "finished"
        assert run.data.metrics.items() <= there["summary"].items()
        assert run.data.params.keys() <= there["config"].keys()
        assert f"W&B: {run.data.tags['wandb.url']}" in ran.stdout
        used = {wandb_server.versions[each]["collection"] for each in there["used"]}
        assert used == {key[6:] for key in run.data.tags if key.startswith("input.")}
    for artifact in (each for run in components for each in outputs_of(run)):
        version = wandb_server.named(artifact.name, artifact.version)
        assert version["run"] == artifact.run_id and version["id"] not in before
    assert not [run for run in components if "artifacts" in store.files(run)]  # no bytes in MLflow
    # Neither on record nor on the terminal
    assert wandb_server.key not in ran.stdout
    for place in (folder, home, Path(wandb_server.variables["WANDB_DATA_DIR"]).parent):
        found = type_in(
            tmp_path, f"grep --recursive --files-with-matches {wandb_server.key} '{place}'"
        )
        assert not found.stdout
    sent = [*wandb_server.files.values(), repr(wandb_server.runs).encode()]
    assert not [each for each in sent if wandb_server.key.encode() in each]
