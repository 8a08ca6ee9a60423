"""Evaluation, and monitoring after it, in this process, while the model's columns change."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from judged import MONITOR, publish, run, train
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import RidgeClassifier

from _utils.errors import UserError
from _utils.models.registry import find_version

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# Yesterday's model has a feature that today's has not, the other way round too
YESTERDAY, TODAY = ["no_gears", "height"], ["no_gears", "engine_displacement"]
COMPARE = {"metric": "mae", "direction": "minimize", "min_improvement": 0.01, "limits": {}}
OF_CLASSES = COMPARE | {"metric": "roc_auc", "direction": "maximize"}


def contract(task: str, target: str, features: list[str]) -> dict:
    kind = {"regression": "number", "classification": "category"}[task]
    columns = {name: {"kind": "number"} for name in features}
    return {"target": target, "task": task, "columns": {**columns, target: {"kind": kind}}}


def cars(year: int) -> pd.DataFrame:
    """Rows of a year; what they need less fuel for is another thing each year."""
    numbers = np.random.default_rng(year).uniform(1, 5, (200, 3)).round(3)
    frame = pd.DataFrame(numbers, columns=["no_gears", "height", "engine_displacement"])
    return frame.assign(
        comb_mpg=10 + frame["no_gears"] + (year - 2012) * frame["engine_displacement"],
        **{"class": "any", "year": str(year)},
    )


def train_forest(features: list[str], data: str) -> str:
    forest = RandomForestRegressor(20, random_state=1)
    return train(forest, features, data, contract("regression", "comb_mpg", features))


def test_a_model_with_other_columns_takes_the_place_of_yesterdays(scratch_store, tmp_path, capsys):
    mlflow.set_experiment("evaluation")
    evaluate = COMPARE | {"registered_model": "evaluated", "scores_by": "class"}
    monitor = MONITOR | {"registered_model": "evaluated", "metric": "mae"}
    old, new = cars(2012), cars(2021)
    grown = pd.concat([old[:150], new[:150]])
    test = publish(old[150:], "test", tmp_path)
    train_1, train_2 = (publish(each, "train", tmp_path) for each in (old[:150], grown))
    # The batch as batch_scoring leaves it
    batch = new.assign(input_version="0123456789ab", prediction=new["no_gears"] + 10)

    data = {"train_artifact": train_1, "test_artifact": test}
    run("evaluation", model_artifact=train_forest(YESTERDAY, train_1), **data, **evaluate)
    assert find_version("models:/evaluated@champion").version == 1
    predictions = publish(batch.assign(model_version="1"), "predictions", tmp_path)
    first = run("monitoring", predictions_artifact=predictions, **monitor)
    assert first.data.metrics["alarm"] == 1
    assert (first.data.metrics["labelled_rows"], first.data.metrics["seen_rows"]) == (200, 0)
    assert "psi.height" in first.data.metrics
    assert "psi.engine_displacement" not in first.data.metrics

    model = train_forest(TODAY, train_2)
    with pytest.raises(UserError, match=f"'{model}' was trained on {train_2}, not on '{train_1}'"):
        run("evaluation", model_artifact=model, **data, **evaluate)
    data = {"train_artifact": train_2, "test_artifact": test}
    compared = run("evaluation", model_artifact=model, **data, **evaluate)
    assert {"champion_mae", "challenger_mae"} <= compared.data.metrics.keys()
    run("promotion", registered_model="evaluated", version="2")
    capsys.readouterr()
    predicted = batch.assign(model_version="2", prediction=new["comb_mpg"] + 0.5)
    second = run(
        "monitoring",
        predictions_artifact=publish(predicted, "predictions", tmp_path),
        **monitor,
    )
    # Only the rows that it was not trained on count, and the error before is told
    metrics = second.data.metrics
    assert (metrics["labelled_rows"], metrics["seen_rows"]) == (50, 150)
    assert metrics["mae"] == pytest.approx(0.5)
    told = f"MAE on unseen rows {metrics['mae_before']:.2f} -> 0.50 (50 rows, since version 1)"
    assert told in capsys.readouterr().out
    assert second.data.tags["input.train"] == train_2.partition(":")[2]


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_classes_from_the_first_champion_to_the_alarm(load, scratch_store, tmp_path, capsys):
    mlflow.set_experiment(load.__name__)
    rows, labels = load(return_X_y=True, as_frame=True)
    features, rows = [*rows][:4], rows.assign(y=labels).sample(frac=1, random_state=1)
    rows = rows.assign(id=range(len(rows)), half=np.arange(len(rows)) % 2)
    half = len(rows) // 2
    trained, tested = (
        publish(rows[:half], "train", tmp_path),
        publish(rows[half:], "test", tmp_path),
    )
    terms = contract("classification", "y", features)
    terms["columns"]["id"] = {"kind": "id"}
    forest = RandomForestClassifier(20, random_state=1)
    model = train(forest, features, trained, terms)

    data = {"train_artifact": trained, "test_artifact": tested, "registered_model": load.__name__}
    evaluate = OF_CLASSES | data | {"scores_by": "half", "limits": {"roc_auc": {"min": 0.6}}}
    capsys.readouterr()
    evaluated = run("evaluation", model_artifact=model, **evaluate)
    assert "Promoted version 1: ROC AUC 0.9" in capsys.readouterr().out
    metrics = evaluated.data.metrics
    assert metrics["roc_auc_low"] < metrics["roc_auc"] < metrics["roc_auc_high"]
    assert metrics["baseline_roc_auc"] == 0.5 and metrics["baseline_brier"] > metrics["brier"]
    logged = {file.path for file in mlflow.MlflowClient().list_artifacts(evaluated.info.run_id)}
    figures = ["confusion_matrix", "roc", "precision_recall", "calibration", "feature_importance"]
    assert {f"{name}.png" for name in figures} <= logged
    assert {"feature_importance.csv", "scores_by_half.csv", "evaluation.html"} <= logged

    # New rows as batch_scoring leaves them; their labels come later, and are those of other rows
    new = rows[half:].drop(columns="y").assign(model_version="1", input_version="0123456789ab")
    forest.fit(rows[:half][features], rows[:half]["y"])
    shares = forest.predict_proba(new[features]).T
    new["prediction"] = forest.classes_[shares.argmax(axis=0)]
    new = new.assign(**{f"probability_{name}": share for name, share in enumerate(shares)})
    predictions = publish(new, "predictions", tmp_path)
    monitor = MONITOR | {"registered_model": load.__name__, "metric": "roc_auc"}
    usual = run("monitoring", predictions_artifact=predictions, **monitor)
    assert usual.data.metrics["alarm"] == 0 and usual.data.metrics["labelled_rows"] == 0
    later = rows[half:][["id", "y"]].assign(y=rows[half:]["y"].sample(frac=1, random_state=3).array)
    later.head(len(later) - 9).to_csv(tmp_path / "labels.csv", index=False)
    monitor["labels_url"] = str(tmp_path / "labels.csv")
    changed = run("monitoring", predictions_artifact=predictions, **monitor)
    told = capsys.readouterr().out
    assert f"{len(later) - 9} of {len(later)} rows got a label from {monitor['labels_url']}" in told
    assert changed.data.metrics["labelled_rows"] == len(later) - 9
    assert changed.data.tags["verdict"].startswith("ALARM: ROC AUC 0.")
    assert changed.data.metrics["psi.prediction"] < 0.25


def test_a_champion_of_something_else_is_not_compared(scratch_store, tmp_path, capsys):
    mlflow.set_experiment("another")
    rows = pd.DataFrame({"x": np.linspace(0, 1, 90), "z": np.linspace(1, 2, 90) % 0.3})
    rows = rows.assign(y=rows["x"] + rows["z"], many=["a", "b", "c"] * 30)
    trained, tested = publish(rows[::2], "train", tmp_path), publish(rows[1::2], "test", tmp_path)
    data = {"train_artifact": trained, "test_artifact": tested, "registered_model": "another"}
    data["scores_by"] = ""
    forest = RandomForestRegressor(5, random_state=1)
    first = train(forest, ["x", "z"], trained, contract("regression", "y", ["x", "z"]))
    run("evaluation", model_artifact=first, **data, **COMPARE)
    other = contract("classification", "many", ["x", "z"])
    second = train(RandomForestClassifier(5), ["x", "z"], trained, other)
    run("evaluation", model_artifact=second, **data, **OF_CLASSES)
    told = capsys.readouterr().out
    assert "version 2: it predicts 'many' (classification), the champion 'y' (regression)" in told
    assert "To use it: mlflow run . -e promote -P version=2" in told
    assert find_version("models:/another@champion").version == 1


def test_a_classifier_without_probabilities_is_told_what_to_do(scratch_store, tmp_path, capsys):
    mlflow.set_experiment("plain")
    rows = pd.DataFrame({"x": np.linspace(0, 1, 60), "y": ["a", "b"] * 30})
    trained = publish(rows, "train", tmp_path)
    model = train(RidgeClassifier(), ["x"], trained, contract("classification", "y", ["x"]))
    data = {"train_artifact": trained, "test_artifact": trained, "registered_model": "plain"}
    run("evaluation", model_artifact=model, scores_by="", **data, **OF_CLASSES)
    assert "ROC AUC is undefined on the test data" in capsys.readouterr().out
    assert not find_version("models:/plain@champion")
    with pytest.raises(UserError, match=r"deployment.metric: 'mae' is not a metric of a class"):
        run("evaluation", model_artifact=model, scores_by="", **data, **COMPARE)


def test_a_model_without_a_contract_is_refused(scratch_store, tmp_path):
    mlflow.set_experiment("without")
    rows = pd.DataFrame({"x": np.linspace(0, 1, 60), "y": np.linspace(1, 2, 60)})
    trained = publish(rows, "train", tmp_path)
    model = train(RandomForestRegressor(2), ["x"], trained, None)
    data = {"train_artifact": trained, "test_artifact": trained, "registered_model": "without"}
    with pytest.raises(UserError, match=r"has no contract.yaml: .* publish it with log_model"):
        run("evaluation", model_artifact=model, scores_by="", **data, **COMPARE)
