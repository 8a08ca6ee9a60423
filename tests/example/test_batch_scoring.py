"""batch_scoring as a user types it, with the model that the whole pipeline made."""

import importlib.util
from argparse import Namespace

import mlflow
import pandas as pd
import pytest
from conftest import ROOT, type_in

from _utils.artifacts.index import outputs_of
from _utils.errors import UserError
from _utils.example.fuel_economy import correct
from _utils.models import load_model
from _utils.models.registry import fetch_model, model_in_use
from _utils.tabular.cleaning import clean
from _utils.tabular.contract import contract_of

NEW = "resources/data/epa_fuel_economy_2021.csv"
PINNED = "deployment.model=models:/fuel_economy/1"


@pytest.fixture(scope="module")
def score(project, store):
    """Types the command; returns its run, the scored and the rejected rows, and what it says."""

    def score(options, **variables):
        ran = type_in(project, f"python main.py --steps=batch_scoring {options}", **variables)
        assert ran.returncode == 0, ran.stdout
        run = store.children(store.pipeline())[0]
        made = {each.name: each.uri.removeprefix("file://") for each in outputs_of(run)}
        tables = (pd.read_parquet(made[f"{name}.parquet"]) for name in ("predictions", "rejected"))
        return run, *tables, ran.stdout

    return score


@pytest.mark.slow
def test_an_artifact(score, project, store):
    options = "scoring.input_artifact=raw_data.parquet:latest scoring.input_url=''"
    run, predictions, rejected, _ = score(f"{options} {PINNED}")
    assert rejected.empty and len(predictions) == 1129
    assert run.data.metrics == {"rows": 1129, "scored": 1129, "rejected": 0}
    version = run.data.tags["input.raw_data.parquet"]
    assert set(predictions["input_version"]) == {run.data.tags["input_version"]} == {version}
    assert set(predictions["model_version"]) == {run.data.tags["model_version"]} == {"1"}
    assert run.data.params["model"] == "models:/fuel_economy/1"
    # As the model itself has it for cleaned rows
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    folder = fetch_model(model_in_use("models:/fuel_economy/1"))
    model, contract = load_model(folder), contract_of(folder)
    mlflow.set_tracking_uri(before)
    raw = pd.read_csv(ROOT / "resources/data/epa_fuel_economy_2012.csv").drop_duplicates()
    cleaned, _ = clean(raw, contract, ["??"], correct)
    assert set(model.predict(cleaned)) <= set(predictions["prediction"])


@pytest.mark.slow
def test_a_url_with_rows_that_cannot_be_scored(score, s3):
    dirty = pd.read_csv(ROOT / NEW, dtype="str")
    dirty.loc[3, "engine_displacement"] = "three"
    dirty.loc[5, ["carline", "no_gears"]] = [None, "-7"]
    dirty.loc[8, "no_cylinders"] = "1e300"  # more than the forest's 32 bits hold
    s3.files.pipe("bucket/new.csv", dirty.to_csv(index=False).encode())
    options = f"data.new_file_url=s3://bucket/new.csv {PINNED}"
    run, predictions, rejected, text = score(options, **s3.variables)
    assert "batch_scoring (always runs: it reads a URL)" in text
    assert "fuel_economy version 1 scored 1105 of 1108 rows" in text
    assert "Not scored: 1 (engine_displacement 'three' is not a number)" in text
    assert run.data.metrics == {"rows": 1108, "scored": 1105, "rejected": 3}
    assert rejected["model_yr"].tolist() == [2021] * 3
    three, nameless, large = rejected["rejection_reason"]
    assert three == "engine_displacement 'three' is not a number"
    assert nameless == "no_gears -7.0 is below 0 or infinite; carline is empty"
    assert large.startswith("the model fails: ")
    rest = dirty.drop(index=[3, 5, 8])
    assert predictions["carline"].tolist() == rest["carline"].tolist()
    assert predictions["prediction"].between(5, 70).all()


def component():
    spec = importlib.util.spec_from_file_location("run", ROOT / "src/batch_scoring/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_champion_the_cure_is_told(scratch_store):
    with pytest.raises(UserError, match="No version of the model 'nothing' is the champion"):
        component().go(Namespace(model="models:/nothing@champion"))


@pytest.mark.parametrize("given", ["", "x:latest"])
def test_one_input_has_to_be_given(given):
    with pytest.raises(UserError, match="set one of them, and leave the other empty"):
        component().fetch_input(Namespace(input_url=given, input_artifact=given))
