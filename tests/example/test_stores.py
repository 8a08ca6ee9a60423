"""A component uses on another machine what the example published to a tracking server."""

import shutil

import pytest
from conftest import Store, clone, type_in
from elsewhere import run_elsewhere, version_of


@pytest.mark.slow
def test_mlflow_with_a_tracking_server(tracking_server, tmp_path):
    variables = {"MLFLOW_TRACKING_URI": tracking_server.url}
    command = "python main.py --steps=data_extraction main.experiment_name=trial"
    ran = type_in(clone(tmp_path / "first"), command, **variables)
    assert ran.returncode == 0, ran.stdout
    assert f"See it: {tracking_server.url}/#/experiments/" in ran.stdout
    store = Store(tracking_server.url)
    shutil.rmtree(tmp_path / "first")
    inputs = {"input_artifact": "raw_data.parquet", "contract": "contract.yaml"}
    given = (f"-P {key}={name}:{version_of(name, store, 'trial')}" for key, name in inputs.items())
    command = f"mlflow run src/eda {' '.join(given)}"
    eda = run_elsewhere(command, store, "trial", tmp_path, **variables)
    assert eda.data.tags["input.raw_data.parquet"]
    assert "eda.html" in store.files(eda)
