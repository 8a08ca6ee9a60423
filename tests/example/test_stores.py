"""The whole example with its artifacts in other places, and used from another machine."""

import shutil
from pathlib import Path

import pytest
from conftest import Store, clone, store_of, type_in
from documents import changed, documented

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
    # Those that publish an artifact
    steps = "data_extraction,basic_cleaning,data_split,train_random_forest"
    to_s3 = documented("README.md", "main.artifact_store=reference")
    options = f"--env-manager local --experiment-name in-s3 -P steps={steps}"
    ran = type_in(clone(tmp_path / "first"), f"{to_s3} {options}", **variables)
    assert ran.returncode == 0, ran.stdout
    served = Store(tracking_server.url)
    published = [each for run in served.runs("in-s3") for each in outputs_of(run)]
    assert len(published) == 5
    for artifact in published:
        place = f"s3://bucket/folder/{artifact.name}/{artifact.version}/"
        assert artifact.uri.startswith(place)
        assert s3.files.du(artifact.uri) == artifact.size
    runs = served.runs("in-s3")
    assert not [run for run in runs if "artifacts" in served.files(run)]  # of MLflow

    shutil.rmtree(tmp_path / "first")
    inputs = {
        "model_artifact": "random_forest",
        "train_artifact": "train_data.parquet",
        "test_artifact": "test_data.parquet",
    }
    given = {key: f"{name}:{version_of(name, served, 'in-s3')}" for key, name in inputs.items()}
    given |= {
        "scores_by": "class",
        "registered_model": "elsewhere",
        "max_mae": "2.5",
        "min_r2": "0.6",
        "min_improvement": "0.01",
    }
    command = " ".join(["mlflow run src/evaluation", *(f"-P {k}={v}" for k, v in given.items())])
    evaluated = run_elsewhere(command, served, "in-s3", tmp_path, **variables)
    # As where all was run on one machine, with its artifacts in MLflow
    there = store.runs(filter_string="attributes.run_name = 'evaluation'")[-1]
    assert evaluated.data.metrics == there.data.metrics


def test_mlflow_with_a_tracking_server(tracking_server, tmp_path):
    variables = {"MLFLOW_TRACKING_URI": tracking_server.url}
    command = documented("README.md", "main.experiment_name=trial")
    options = "--env-manager local -P steps=data_extraction"
    ran = type_in(clone(tmp_path / "first"), f"{command} {options}", **variables)
    assert ran.returncode == 0, ran.stdout
    assert f"See the runs: {tracking_server.url}" in ran.stdout
    store = Store(tracking_server.url)
    shutil.rmtree(tmp_path / "first")
    version = version_of("raw_data.parquet", store, "trial")
    command = documented("MLpipeline.md", "mlflow run src/eda")
    command = changed(command, {"<version>": version})
    eda = run_elsewhere(command, store, "trial", tmp_path, **variables)
    assert eda.data.tags["input.raw_data.parquet"] == version
    assert "eda.html" in store.files(eda)


def test_wandb(wandb_server, tmp_path):
    folder, home = clone(tmp_path / "clone"), tmp_path / "home"
    home.mkdir()
    variables = {**wandb_server.variables, "HOME": str(home)}
    before = {*wandb_server.versions}
    # Scripts, a notebook and an executable
    steps = ["data_extraction", "eda", "basic_cleaning", "data_check", "data_split"]
    steps += ["train_random_forest", "evaluation"]
    options = "--env-manager local -P steps=" + ",".join(steps)
    command = documented("README.md", "main.artifact_store=wandb")
    ran = type_in(folder, f"{command} {options}", **variables)
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
