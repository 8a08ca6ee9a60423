"""Train gradient boosting and publish it as an MLflow model, with its scores on validation data."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import use_artifact
from _utils.component import launch
from _utils.models import log_model
from _utils.tabular.contract import read_contract
from _utils.tabular.model import gradient_boosting
from _utils.tabular.tables import read_table
from _utils.tabular.training import train


def go(args: argparse.Namespace) -> None:
    """Fetch, train and validate, publish."""
    # Also one by one, so that MLflow can compare runs by each
    parameters = args.gradient_boosting
    mlflow.log_params({f"gradient_boosting.{key}": value for key, value in parameters.items()})
    contract = read_contract(use_artifact(args.contract))
    model, features, metrics = train(
        gradient_boosting,
        contract,
        read_table(use_artifact(args.train_artifact)),
        max_tfidf_features=args.max_tfidf_features,
        parameters=parameters,
        validation_size=args.validation_size,
        seed=args.seed,
    )
    mlflow.log_metrics(metrics)
    log_model(
        model,
        name=args.model_artifact,
        example=features,
        description=f"Gradient boosting that predicts {contract.target}",
    )


if __name__ == "__main__":
    launch(go)
