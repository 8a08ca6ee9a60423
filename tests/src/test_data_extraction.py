"""The component by itself."""

import argparse
import importlib.util
import shlex

import pytest
from conftest import ROOT, clone, store_of, type_in

from _utils.artifacts.index import outputs_of
from _utils.errors import UserError


@pytest.mark.slow
def test_a_call_with_the_four_parameters_of_before(tmp_path):
    """A component is an MLflow project of its own; without a contract it publishes none."""
    parameters = {
        "file_url": "resources/data/epa_fuel_economy_2012.csv",
        "artifact_name": "raw_data.parquet",
        "artifact_type": "raw_data",
        "artifact_description": "Data as downloaded",
    }
    folder, arguments = clone(tmp_path / "clone"), f"parameters={parameters}, env_manager='local'"
    call = f"import mlflow; mlflow.run('src/data_extraction', 'main', {arguments})"
    ran = type_in(folder, f"python -c {shlex.quote(call)}")
    assert ran.returncode == 0, ran.stdout
    (run,) = store_of(folder).runs("Default")
    (artifact,) = outputs_of(run)
    assert (artifact.name, artifact.type) == ("raw_data.parquet", "raw_data")


def test_it_overwrites_nothing(tmp_path):
    victim = tmp_path / "victim.parquet"
    victim.write_text("mine")
    spec = importlib.util.spec_from_file_location("run", ROOT / "src/data_extraction/run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    url = str(ROOT / "resources/data/epa_fuel_economy_2012.csv")
    given = {"file_url": url, "artifact_name": str(victim), "contract_url": "", "labels_url": ""}
    with pytest.raises(UserError, match="cannot be an artifact's name"):
        run.go(argparse.Namespace(**given))
    assert victim.read_text() == "mine"
