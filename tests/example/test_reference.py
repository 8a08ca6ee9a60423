"""The example with its artifacts in an object store, used from another machine."""

import shutil

import pytest
from conftest import Store, clone, type_in
from elsewhere import run_elsewhere, version_of

from _utils.artifacts.index import outputs_of


@pytest.mark.slow
def test_another_store_makes_everything_anew(project, tmp_path):
    place = f"main.artifact_store=reference main.storage_url={tmp_path}"
    plan = type_in(project, f"python main.py main.plan=true --steps=basic_cleaning {place}")
    told = f"parameter main.artifact_store mlflow -> reference {tmp_path.as_uri()}"
    assert told in plan.stdout


@pytest.mark.slow
def test_reference_in_an_object_store(s3, tracking_server, store, tmp_path):
    variables = {**s3.variables, "MLFLOW_TRACKING_URI": tracking_server.url}
    in_s3 = "main.artifact_store=reference main.storage_url=s3://bucket/folder"
    command = f"python main.py --steps=data_extraction,basic_cleaning {in_s3}"
    ran = type_in(clone(tmp_path / "first"), f"{command} main.experiment_name=in-s3", **variables)
    assert ran.returncode == 0, ran.stdout
    served = Store(tracking_server.url)
    published = [each for run in served.runs("in-s3") for each in outputs_of(run)]
    assert len(published) == 3  # with the contract
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
    # As logged: MLflow quotes the values for a shell
    values = " ".join(f"-P {key}={value}" for key, value in parameters.items())
    split = run_elsewhere(
        f"mlflow run src/data_split {values}", served, "in-s3", tmp_path, **variables
    )
    for name in ("train_data.parquet", "test_data.parquet"):
        assert split.data.tags[f"output.{name}"] == there.data.tags[f"output.{name}"]
