"""The component by itself: rows of the year that the champion knows, then those of another."""

import io
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from judged import MONITOR, publish, run, train
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestRegressor

from _utils.errors import UserError
from _utils.models.registry import fetch_model, find_version
from _utils.tabular.columns import to_numbers, to_text
from _utils.tabular.contract import contract_of
from _utils.tabular.predictions import predict
from _utils.tabular.terms import ID, NUMBER

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PARAMETERS = MONITOR | {"registered_model": "monitored", "metric": "mae"}
# A small model knows only these columns; the others are compared by monitoring alone
FEATURES = ["engine_displacement", "no_cylinders", "no_gears"]
TERMS = yaml.safe_load((ROOT / "resources/data/fuel_economy.contract.yaml").read_text("utf-8"))


def cars(year: int) -> pd.DataFrame:
    """A year, about as cleaning leaves it."""
    raw = pd.read_csv(ROOT / f"resources/data/epa_fuel_economy_{year}.csv").replace("??", None)
    raw = raw[raw["comb_mpg"].between(5, 70)].drop_duplicates().reset_index(drop=True)
    kinds = {name: column["kind"] for name, column in TERMS["columns"].items()}
    columns = {
        name: to_numbers(raw[name]) if kind == NUMBER else to_text(raw[name])
        for name, kind in kinds.items()
    }
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def champion(scratch_store, tmp_path_factory):
    """A version that was trained and tested on 2012."""
    mlflow.set_experiment("monitored")
    folder, rows = tmp_path_factory.mktemp("champion"), cars(2012).sample(frac=1, random_state=1)
    trained, tested = publish(rows[200:], "train", folder), publish(rows[:200], "test", folder)
    forest = RandomForestRegressor(20, random_state=1)
    model = train(forest, FEATURES, trained, TERMS)
    data = {"train_artifact": trained, "test_artifact": tested, "scores_by": "class"}
    terms = {"direction": "minimize", "min_improvement": 0, "limits": {"r2": {"min": 0.1}}}
    names = {"registered_model": "monitored", "metric": "mae"}
    run("evaluation", model_artifact=model, **data, **terms, **names)
    return find_version("models:/monitored@champion")


@pytest.fixture
def monitor(champion, tmp_path, capsys):
    """Publish predictions for some rows, and monitor them; returns what was told, and the run."""

    def monitor(rows: pd.DataFrame, labels: pd.DataFrame | None = None):
        # What batch_scoring publishes: the prepared rows, with predictions
        model = mlflow.sklearn.load_model(str(fetch_model(champion)))
        scored = rows.assign(**predict(model, rows)) if len(rows) else rows.assign(prediction=1.0)
        scored = scored.assign(model_version=champion.version, input_version="0123456789ab")
        predictions = publish(scored, "predictions", tmp_path)
        if labels is not None:
            labels.to_csv(tmp_path / "labels.csv", index=False)
        url = "" if labels is None else str(tmp_path / "labels.csv")
        capsys.readouterr()
        done = run(
            "monitoring", **PARAMETERS | {"labels_url": url}, predictions_artifact=predictions
        )
        return capsys.readouterr().out, done

    mlflow.set_experiment("monitored")
    return monitor


def text(of_run, name: str, folder) -> str:
    path = MlflowClient().download_artifacts(of_run.info.run_id, name, str(folder))
    return Path(path).read_text("utf-8")


def test_the_same_year_raises_no_alarm_and_another_does(monitor, champion, tmp_path):
    told, usual = monitor(cars(2012).sample(frac=0.5, random_state=1).assign(comb_mpg=None))
    assert "No alarm: " in told and usual.data.metrics["alarm"] == 0
    assert usual.data.metrics["labelled_rows"] == 0 and "mae" not in usual.data.metrics
    assert "No row has a label yet" in text(usual, "report.html", tmp_path)

    new = cars(2021)
    told, changed = monitor(new)
    assert "ALARM: " in told and "more in report.html" in told
    metrics, verdict = changed.data.metrics, changed.data.tags["verdict"]
    assert metrics["alarm"] == 1 and metrics["rows"] == metrics["labelled_rows"] == len(new)
    assert metrics["loss_ratio"] == pytest.approx(metrics["mae"] / float(champion.tags["mae"]))
    assert metrics["loss_ratio_low"] < metrics["loss_ratio"]
    assert metrics["max_psi"] == metrics["psi.car_truck"]
    assert metrics["missing.car_truck"] == pytest.approx(0.486, abs=1e-3)
    assert metrics["psi.prediction"] > 0 and metrics["unseen.carline"] > 0.2
    assert "car_truck 48.6% missing" in verdict and "report.html" not in verdict
    page = text(changed, "report.html", tmp_path)
    assert '<h1 class="bad">ALARM: ' in page and "http" not in page and page.count("<img") > 5
    table = pd.read_csv(io.StringIO(text(changed, "drift.csv", tmp_path)))
    assert len(table) == 15 and table["column"].iloc[-1] == "prediction"
    # Both over time, the first as of its own time
    history = MlflowClient().get_metric_history(changed.info.run_id, "alarm")
    assert [each.value for each in sorted(history, key=lambda each: each.step)] == [0, 1]
    assert min(each.timestamp for each in history) == usual.info.start_time
    inputs = {"predictions", "train", "test"}
    assert {key[6:] for key in changed.data.tags if key.startswith("input.")} == inputs


def test_labels_that_arrive_later(monitor, champion):
    contract = contract_of(fetch_model(champion))
    assert contract.of_kind(ID) == ["mfr_code", "model_type_index"]
    new = cars(2021).drop_duplicates(contract.of_kind(ID))
    later = new[[*contract.of_kind(ID), "comb_mpg"]].head(300)
    told, labelled = monitor(new.drop(columns="comb_mpg"), later)
    assert f"300 of {len(new)} rows got a label from " in told and "labels.csv" in told
    assert labelled.data.metrics["labelled_rows"] == 300
    _, known = monitor(new.head(300))
    assert labelled.data.metrics["mae"] == pytest.approx(known.data.metrics["mae"])
    with pytest.raises(UserError, match=r"lack the target 'comb_mpg'"):
        monitor(new, later.rename(columns={"comb_mpg": "mpg"}))


def test_no_rows_are_told(monitor):
    with pytest.raises(UserError, match="nothing to monitor"):
        monitor(cars(2021)[:0])


def test_a_metric_that_is_not_on_record(monitor, monkeypatch, champion):
    client = MlflowClient()
    monkeypatch.setitem(PARAMETERS, "metric", "median_ae")
    client.delete_model_version_tag("monitored", champion.version, "median_ae")
    with pytest.raises(UserError, match=r"has no tag median_ae, .* Set deployment.metric to one"):
        monitor(cars(2021).head(9))
    monkeypatch.setitem(PARAMETERS, "metric", "roc_auc")
    with pytest.raises(UserError, match=r"'roc_auc' is not a metric of a regression. Use one of"):
        monitor(cars(2021).head(9))
