"""Score the model on data that it has not seen, and promote it if it beats the champion."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from sklearn.pipeline import Pipeline

from _utils.artifacts import use_artifact
from _utils.component import launch
from _utils.example.figures import predicted_against_actual, residual_figure
from _utils.example.model import TARGET, predict
from _utils.example.promotion import decide_promotion, unseen_rows
from _utils.example.scores import regression_scores, scores_by
from _utils.models.lineage import check_training_data, promote, register_model
from _utils.models.registry import CHALLENGER, CHAMPION, check_model_name, fetch_model, find_version
from _utils.tabular.names import plain_names
from _utils.tabular.tables import read_table


def go(args: argparse.Namespace) -> None:
    """Fetch, score, publish; and promote the model if it is good enough."""
    check_model_name(args.registered_model)
    check_training_data(args.model_artifact, args.train_artifact)
    model = mlflow.sklearn.load_model(str(use_artifact(args.model_artifact)))
    train = read_table(use_artifact(args.train_artifact))
    test = read_table(use_artifact(args.test_artifact))
    actual, predicted = test[TARGET], predict(model, test)
    scores = regression_scores(actual, predicted)
    baseline = np.full(len(test), train[TARGET].mean())
    table = scores_by(test, actual, predicted, by=args.scores_by)

    mlflow.log_metrics(scores)
    for name, value in regression_scores(actual, baseline).items():
        mlflow.log_metric(f"mean_predictor_{name}", value)
    mlflow.log_figure(predicted_against_actual(actual, predicted), "predicted_against_actual.png")
    mlflow.log_figure(residual_figure(actual, predicted), "residuals.png")
    column = plain_names([args.scores_by])[args.scores_by]
    mlflow.log_text(table.to_csv(index=False), f"scores_by_{column}.csv")
    promoted, reason = register_and_compare(args, model, test, scores)
    mlflow.set_tag("promotion", reason)
    print(f"{'Promoted' if promoted else 'Did not promote'} {reason}")


def register_and_compare(
    args: argparse.Namespace, model: Pipeline, test: pd.DataFrame, scores: dict[str, float]
) -> tuple[bool, str]:
    """Register the model as challenger, and promote it if there is no better champion."""
    of_data = {"train_artifact": args.train_artifact, "test_artifact": args.test_artifact}
    tags = of_data | {name: f"{value:.6f}" for name, value in scores.items()}
    challenger = register_model(args.model_artifact, args.registered_model, tags)
    uri = f"models:/{args.registered_model}@{CHAMPION}"
    while True:
        champion = find_version(uri)
        if champion and champion.version == challenger.version:
            return False, f"version {champion.version}: it is the champion already"
        promoted, reason = decide_promotion(
            scores,
            errors_beside_champion(champion, model, test),
            max_mae=args.max_mae,
            min_r2=args.min_r2,
            min_improvement=args.min_improvement,
        )
        if not promoted:
            return False, f"version {challenger.version}: {reason}"
        if promote(challenger, reason, instead_of=champion):
            return True, f"version {challenger.version}: {reason}"
        # Another pipeline has promoted its model in the meantime: compare with that model


def errors_beside_champion(
    champion: ModelVersion | None, model: Pipeline, test: pd.DataFrame
) -> dict[str, float] | None:
    """The mean absolute errors of champion and challenger on test rows that neither has seen."""
    if not champion:
        return None
    if seen := champion.tags.get("train_artifact"):
        test = unseen_rows(test, read_table(use_artifact(seen)))
    rivals = {CHAMPION: mlflow.sklearn.load_model(str(fetch_model(champion))), CHALLENGER: model}
    errors = {
        name: float((test[TARGET] - predict(rival, test)).abs().mean())
        for name, rival in rivals.items()
        if len(test)
    }
    mlflow.log_metrics({f"{name}_mae": error for name, error in errors.items()})
    return errors


if __name__ == "__main__":
    launch(go)
