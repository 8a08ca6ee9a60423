from types import SimpleNamespace

from _utils.models.card import as_card, scores_table
from _utils.tabular.contract import Column, Contract

METRICS = {"mae": 1.38123, "mae_low": 1.1, "mae_high": 1.6, "baseline_mae": 4.0, "r2": 0.83}
CONTRACT = Contract(
    target="mpg",
    task="regression",
    unit="mpg",
    columns={"mpg": Column(kind="number"), "gears": Column(kind="number")},
)


def test_a_metric_stands_beside_its_interval_and_the_baseline():
    assert scores_table(METRICS)[2:] == ["| MAE | 1.381 | 1.100 to 1.600 | 4.000 |"]
    metrics = {"f1": 0.5, "baseline_f1": 0.1}
    assert scores_table(metrics)[2:] == ["| F1 | 0.500 |  | 0.100 |"]


def test_the_card_says_what_the_model_is_and_how_to_load_it():
    run = SimpleNamespace(
        info=SimpleNamespace(experiment_id="1", run_id="abc"), data=SimpleNamespace(metrics=METRICS)
    )
    version = SimpleNamespace(name="cars", version="3")
    card = as_card(version, CONTRACT, "test.parquet:12", ["raw.parquet:34"], run)
    assert card.startswith("Predicts `mpg` (regression, in mpg) from `gears`. ")
    for text in ("`test.parquet:12`", "`raw.parquet:34`", "#/experiments/1/runs/abc", "| MAE |"):
        assert text in card
    assert 'mlflow.pyfunc.load_model("models:/cars/3")' in card
    assert "Made from: unknown." in as_card(version, CONTRACT, "test.parquet:12", [], run)
