"""Score the model on data that it has not seen, beside a predictor that always says the mean."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import numpy as np
import pandas as pd

from _utils.artifacts import use_artifact
from _utils.component import launch
from _utils.example.figures import predicted_against_actual, residual_figure
from _utils.example.model import FEATURES, TARGET
from _utils.example.scores import regression_scores, scores_by


def go(args: argparse.Namespace) -> None:
    """Fetch, score, publish."""
    model = mlflow.sklearn.load_model(str(use_artifact(args.model_artifact)))
    train = pd.read_parquet(use_artifact(args.train_artifact))
    test = pd.read_parquet(use_artifact(args.test_artifact))
    actual, predicted = test[TARGET], model.predict(test[FEATURES])
    baseline = np.full(len(test), train[TARGET].mean())
    table = scores_by(test, actual, predicted, by=args.scores_by)

    mlflow.log_metrics(regression_scores(actual, predicted))
    for name, value in regression_scores(actual, baseline).items():
        mlflow.log_metric(f"mean_predictor_{name}", value)
    mlflow.log_figure(predicted_against_actual(actual, predicted), "predicted_against_actual.png")
    mlflow.log_figure(residual_figure(actual, predicted), "residuals.png")
    mlflow.log_text(table.to_csv(index=False), f"scores_by_{args.scores_by}.csv")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_artifact", required=True, help="the model, as name:version")
    parser.add_argument("--train_artifact", required=True, help="train data, as name:version")
    parser.add_argument("--test_artifact", required=True, help="test data, as name:version")
    parser.add_argument("--scores_by", required=True, help="column of the table of scores")
    launch(go, parser)
