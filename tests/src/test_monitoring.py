"""The component by itself: rows of the year that the champion knows, then those of another."""

import io

import pandas as pd
import pytest
from conftest import type_in

# What batch_scoring publishes: the prepared rows, with predictions
PUBLISH = """
import sys
sys.path.append("src")
import mlflow
import pandas as pd
from _utils.artifacts import log_artifact
from _utils.example.cleaning import clean
from _utils.example.model import FEATURES
from _utils.models.registry import find_version

year, share, part = sys.argv[1], float(sys.argv[2]), sys.argv[3]
raw = pd.read_csv(f"resources/data/epa_fuel_economy_{year}.csv").sample(frac=share, random_state=1)
limits = {"min_comb_mpg": 5, "max_comb_mpg": 70, "max_engine_displacement": 10}
rows, _ = clean(raw, unknown_codes=["??"], **limits)
champion = find_version("models:/fuel_economy@champion")
rows["prediction"] = mlflow.sklearn.load_model(champion.source).predict(rows[FEATURES])
rows["model_version"], rows["input_version"] = champion.version, "0123456789ab"
parts = {"all": rows, "unlabelled": rows.assign(comb_mpg=None), "none": rows[:0]}
parts[part].to_parquet("outputs/predictions.parquet", index=False)
with mlflow.start_run():
    log_artifact("outputs/predictions.parquet", type="predictions")
"""
MONITOR = (
    "python src/monitoring/run.py --predictions_artifact=predictions.parquet:latest "
    "--registered_model=fuel_economy --max_psi=0.25 --significance=0.01 --max_new_missing=0.1 "
    "--max_unseen_share=0.2 --max_mae_ratio=1.25"
)


@pytest.fixture
def monitor(project, store):
    """Publish predictions for some rows, and monitor them; returns what was told, and the run."""
    (project / "outputs/publish.py").write_text(PUBLISH)
    variables = {
        "PYTHONPATH": "src",
        "MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}",
        "MLFLOW_EXPERIMENT_NAME": "monitored",
    }

    def run(rows: str, status: int = 0):
        published = type_in(project, f"python outputs/publish.py {rows}", **variables)
        assert published.returncode == 0, published.stdout
        ran = type_in(project, MONITOR, **variables)
        assert ran.returncode == status, ran.stdout
        return ran.stdout, store.runs("monitored")[0]

    return run


@pytest.mark.slow
def test_the_same_year_raises_no_alarm_and_another_does(monitor, project, store, tmp_path):
    told, usual = monitor("2012 0.5 unlabelled")
    assert "No alarm: " in told and usual.data.metrics["alarm"] == 0
    assert usual.data.metrics["labelled_rows"] == 0 and "mae" not in usual.data.metrics
    assert "No row has a label yet" in store.text(usual, "report.html", tmp_path)

    told, changed = monitor("2021 1.0 all")
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

    told, failed = monitor("2021 1.0 none", status=1)
    assert told.strip().endswith("nothing to monitor. Score some rows with batch_scoring first.")
    assert failed.info.status == "FAILED" and "alarm" not in failed.data.metrics
