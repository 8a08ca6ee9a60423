"""The whole story, on real data: in use, the world changes, alarm, retrained, in use again."""

import json
import shutil
import signal
import time
import urllib.request

import mlflow
import pandas as pd
import pytest
from conftest import ROOT, Typed, store_of, type_in
from servers import free_port

from _utils.tabular.contract import read_contract

CARS = read_contract(ROOT / "resources/data/fuel_economy.contract.yaml")
FEATURES, TARGET = [*CARS.features], CARS.target
pytestmark = pytest.mark.slow

BATCH = "python main.py --steps=batch_scoring,monitoring main.on_alarm=retrain"
PROMOTE = "mlflow run . -e promote -P version=1 --env-manager local"


@pytest.fixture(scope="module")
def project(ran_once, tmp_path_factory):
    """A copy for this story alone, in which the model of 2012 is the champion."""
    folder = tmp_path_factory.mktemp("story") / "project"
    shutil.copytree(ran_once, folder, ignore=shutil.ignore_patterns("mlruns"))
    return folder


@pytest.fixture(scope="module")
def server(project):
    """The champion, served: a function that asks it, and returns who answers."""
    port = free_port()
    serve = Typed(project, f"python main.py --steps=serving serving.port={port}")
    serve.until("Ctrl-C ends it")
    body = json.dumps({"dataframe_records": [dict.fromkeys(FEATURES)]}).encode()
    headers = {"Content-Type": "application/json"}

    def version():
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers)
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["predictions"][0] > 0
            return answer.headers["x-model-version"]

    yield version
    serve.signal(signal.SIGINT, "all")
    serve.end()


@pytest.fixture(scope="module")
def story(project, server):
    """What the terminal tells, after the 2021 batch has arrived."""
    assert server() == "1"
    ran = type_in(project, BATCH)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture(scope="module")
def runs(story, project):
    """The runs of the pipeline and, below it, of the second time, by name."""
    store = store_of(project)
    pipeline = store.pipeline()
    first = {run.info.run_name: run for run in store.children(pipeline)}
    return first, {run.info.run_name: run for run in store.children(first["retraining"])}


def test_the_batch_raises_an_alarm(story, runs):
    first, _ = runs
    metrics = first["monitoring"].data.metrics
    assert metrics["alarm"] == 1
    assert metrics["loss_ratio"] > 1.5  # its errors are up by half
    assert "'monitoring' raised an alarm. Back to step 1" in story


def test_the_second_time_runs_all_steps_on_old_and_new_data(runs):
    first, second = runs
    assert [*first] == ["batch_scoring", "monitoring", "retraining"]
    assert next(iter(second)) == "data_extraction" and [*second][-1] == "monitoring"
    assert second["data_extraction"].data.metrics["rows"] == 1129 + 1108
    assert {run.info.status for run in second.values()} == {"FINISHED"}


def test_the_new_champion_is_better_by_a_quarter_on_unseen_cars_of_2021(runs, project, tmp_path):
    _, second = runs
    client = store_of(project).client
    assert "% lower" in second["evaluation"].data.tags["promotion"]
    test = json.loads(second["data_split"].data.tags["artifact.test_data.parquet"])
    rows = pd.read_parquet(test["uri"].removeprefix("file://"))
    rows = rows[rows["model_yr"] == 2021]
    errors = []
    for version in (1, 2):
        source = client.get_model_version("fuel_economy", str(version)).source
        model = client.get_logged_model(source.removeprefix("models:/"))
        forest = mlflow.sklearn.load_model(model.artifact_location)
        errors.append((forest.predict(rows[FEATURES]) - rows[TARGET]).abs().mean())
    assert len(rows) > 100
    assert errors[1] <= 0.75 * errors[0]


def test_the_server_goes_over_to_it_and_back(story, server, project):
    patience = time.monotonic() + 60
    while server() != "2":
        assert time.monotonic() < patience
    ran = type_in(project, PROMOTE)
    assert ran.returncode == 0, ran.stdout
    assert "Version 1 of fuel_economy is the champion" in ran.stdout
    while server() != "1":
        assert time.monotonic() < patience + 60
    # What was decided by hand stays so, for the evaluation is reused
    evaluated = type_in(project, "python main.py --steps=evaluation")
    assert "1/1 evaluation reused" in evaluated.stdout
    assert server() == "1"
    again = type_in(project, "python main.py --steps=promotion deployment.version=1")
    assert again.returncode == 0
    assert "is the champion already" in again.stdout
