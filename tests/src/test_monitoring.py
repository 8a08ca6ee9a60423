"""The component by itself: rows of the year that the champion knows, then those of another."""

import importlib.util
import io
import os
from argparse import Namespace

import mlflow
import pandas as pd
import pytest
from conftest import ROOT

from _utils.artifacts import log_artifact
from _utils.errors import UserError
from _utils.example.cleaning import clean
from _utils.example.model import FEATURES
from _utils.models.registry import find_version

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PARAMETERS = {
    "predictions_artifact": "predictions.parquet:latest",
    "registered_model": "fuel_economy",
    "max_psi": 0.25,
    "significance": 0.01,
    "max_new_missing": 0.1,
    "max_unseen_share": 0.2,
    "max_mae_ratio": 1.25,
}


def go() -> None:
    spec = importlib.util.spec_from_file_location("run", ROOT / "src/monitoring/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.go(Namespace(**PARAMETERS))


@pytest.fixture
def monitor(project, store, tmp_path, monkeypatch, capsys):
    """Publish predictions for some rows, and monitor them; returns what was told, and the run."""
    before = mlflow.get_tracking_uri()
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(project)
    mlflow.set_tracking_uri(f"sqlite:///{project / 'mlflow.db'}")
    mlflow.set_experiment("monitored")

    def monitor(year: int, share: float, **columns):
        raw = pd.read_csv(ROOT / f"resources/data/epa_fuel_economy_{year}.csv")
        limits = {"min_comb_mpg": 5, "max_comb_mpg": 70, "max_engine_displacement": 10}
        some = raw.sample(frac=share or 1, random_state=1)
        rows, _ = clean(some, unknown_codes=["??"], **limits)
        # What batch_scoring publishes: the prepared rows, with predictions
        champion = find_version("models:/fuel_economy@champion")
        rows["prediction"] = mlflow.sklearn.load_model(champion.source).predict(rows[FEATURES])
        rows["model_version"], rows["input_version"] = champion.version, "0123456789ab"
        rows = rows.assign(**columns) if share else rows[:0]
        rows.to_parquet(tmp_path / "predictions.parquet", index=False)
        with mlflow.start_run():
            log_artifact(tmp_path / "predictions.parquet", type="predictions")
        capsys.readouterr()
        with mlflow.start_run():
            go()
        return capsys.readouterr().out, store.runs("monitored")[0]

    yield monitor
    mlflow.set_tracking_uri(before)
    mlflow.set_experiment("Default")


def test_the_same_year_raises_no_alarm_and_another_does(monitor, project, store, tmp_path):
    told, usual = monitor(2012, 0.5, comb_mpg=None)
    assert "No alarm: " in told and usual.data.metrics["alarm"] == 0
    assert usual.data.metrics["labelled_rows"] == 0 and "mae" not in usual.data.metrics
    assert "No row has a label yet" in store.text(usual, "report.html", tmp_path)

    told, changed = monitor(2021, 1.0)
    assert "ALARM: MAE " in told and "more in report.html" in told
    metrics, verdict = changed.data.metrics, changed.data.tags["verdict"]
    assert metrics["alarm"] == 1 and metrics["rows"] == metrics["labelled_rows"] == 1108
    assert metrics["mae_ratio"] > 1.25 and metrics["max_psi"] == metrics["psi.car_truck"]
    assert metrics["missing.car_truck"] == pytest.approx(0.486, abs=1e-3)
    assert metrics["psi.prediction"] > 0 and metrics["unseen.carline"] > 0.2
    assert "car_truck 48.6% missing" in verdict and "report.html" not in verdict
    page = store.text(changed, "report.html", tmp_path)
    assert "<h1>ALARM</h1>" in page and "http" not in page and page.count("<img") > 5
    table = pd.read_csv(io.StringIO(store.text(changed, "drift.csv", tmp_path)))
    assert len(table) == 15 and table["column"].iloc[-1] == "prediction"
    # Both over time, the first as of its own time
    history = store.client.get_metric_history(changed.info.run_id, "alarm")
    assert [each.value for each in sorted(history, key=lambda each: each.step)] == [0, 1]
    assert min(each.timestamp for each in history) == usual.info.start_time
    inputs = {"predictions.parquet", "train_data.parquet", "test_data.parquet"}
    assert {key[6:] for key in changed.data.tags if key.startswith("input.")} == inputs


def test_no_rows_are_told(monitor):
    with pytest.raises(UserError, match="nothing to monitor"):
        monitor(2021, 0)
