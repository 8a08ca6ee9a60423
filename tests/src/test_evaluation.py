"""Evaluation, and monitoring after it, in this process, while the model's columns change."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from _utils.artifacts import log_artifact, use_artifact
from _utils.errors import UserError
from _utils.models.lineage import log_model
from _utils.models.registry import find_version

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# Yesterday's model has a feature that today's has not, the other way round too
YESTERDAY, TODAY = ["no_gears", "height"], ["no_gears", "engine_displacement"]
EVALUATE = {
    "scores_by": "class",
    "registered_model": "evaluated",
    "max_mae": 99.0,
    "min_r2": -99.0,
    "min_improvement": 0.01,
}
MONITOR = {
    "registered_model": "evaluated",
    "max_psi": 0.25,
    "significance": 0.01,
    "max_new_missing": 0.1,
    "max_unseen_share": 0.2,
    "max_mae_ratio": 1.25,
}


def run(name: str, **parameters) -> mlflow.entities.Run:
    """A component in a run of its own."""
    spec = importlib.util.spec_from_file_location("run", ROOT / f"src/{name}/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with mlflow.start_run() as run:
        module.go(Namespace(**parameters))
    return mlflow.get_run(run.info.run_id)


def cars(year: int) -> pd.DataFrame:
    """Rows of a year; what they need less fuel for is another thing each year."""
    numbers = np.random.default_rng(year).uniform(1, 5, (200, 3)).round(3)
    frame = pd.DataFrame(numbers, columns=["no_gears", "height", "engine_displacement"])
    return frame.assign(
        comb_mpg=10 + frame["no_gears"] + (year - 2012) * frame["engine_displacement"],
        **{"class": "any", "carline": "GOLF", "year": str(year)},
    )


def publish(frame: pd.DataFrame, name: str, folder: Path) -> str:
    frame.to_parquet(folder / name, index=False)
    with mlflow.start_run():
        return log_artifact(folder / name, type="data").reference


def train(features: list[str], data: str) -> str:
    """Train a model on an artifact, and publish it."""
    with mlflow.start_run():
        rows = pd.read_parquet(use_artifact(data))
        model = make_pipeline(SimpleImputer(), RandomForestRegressor(20, random_state=1))
        model.fit(rows[features], rows["comb_mpg"])
        return log_model(
            mlflow.sklearn.save_model,
            "forest",
            "A forest",
            sk_model=model,
            signature=infer_signature(rows[features], rows["comb_mpg"]),
            pip_requirements=["scikit-learn"],
            skops_trusted_types=["numpy.dtype", "sklearn.tree._tree.Tree"],
        ).reference


def test_a_model_with_other_columns_takes_the_place_of_yesterdays(scratch_store, tmp_path, capsys):
    mlflow.set_experiment("evaluation")
    old, new = cars(2012), cars(2021)
    grown = pd.concat([old[:150], new[:150]])
    test = publish(old[150:], "test", tmp_path)
    train_1, train_2 = (publish(each, "train", tmp_path) for each in (old[:150], grown))
    # The batch as batch_scoring leaves it
    batch = new.assign(input_version="0123456789ab", prediction=new["no_gears"] + 10)

    data = {"train_artifact": train_1, "test_artifact": test}
    run("evaluation", model_artifact=train(YESTERDAY, train_1), **data, **EVALUATE)
    assert find_version("models:/evaluated@champion").version == 1
    predictions = publish(batch.assign(model_version="1"), "predictions", tmp_path)
    first = run("monitoring", predictions_artifact=predictions, **MONITOR)
    assert first.data.metrics["alarm"] == 1
    assert (first.data.metrics["labelled_rows"], first.data.metrics["seen_rows"]) == (200, 0)
    assert "psi.height" in first.data.metrics
    assert "psi.engine_displacement" not in first.data.metrics

    model = train(TODAY, train_2)
    with pytest.raises(UserError, match=f"'{model}' was trained on {train_2}, not on '{train_1}'"):
        run("evaluation", model_artifact=model, **data, **EVALUATE)
    data = {"train_artifact": train_2, "test_artifact": test}
    compared = run("evaluation", model_artifact=model, **data, **EVALUATE)
    assert {"champion_mae", "challenger_mae"} <= compared.data.metrics.keys()
    capsys.readouterr()
    predicted = batch.assign(model_version="2", prediction=new["comb_mpg"] + 0.5)
    second = run(
        "monitoring",
        predictions_artifact=publish(predicted, "predictions", tmp_path),
        **MONITOR,
    )
    # Only the rows that it was not trained on count, and the error before is told
    metrics = second.data.metrics
    assert (metrics["labelled_rows"], metrics["seen_rows"]) == (50, 150)
    assert metrics["mae"] == pytest.approx(0.5)
    told = f"MAE on unseen rows {metrics['mae_before']:.2f} -> 0.50 (50 rows, since version 1)"
    assert told in capsys.readouterr().out
    assert second.data.tags["input.train"] == train_2.partition(":")[2]
