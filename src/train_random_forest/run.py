"""Train a random forest and publish it as an MLflow model, with its scores on validation data."""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
from mlflow.models import infer_signature

from _utils.artifacts import use_artifact
from _utils.component import launch
from _utils.example.figures import importance_figure
from _utils.example.model import (
    FEATURES,
    SKOPS_TRUSTED_TYPES,
    TARGET,
    TEXT,
    build_model,
    feature_importance,
)
from _utils.example.scores import regression_scores
from _utils.example.splitting import split
from _utils.models.lineage import log_model
from _utils.tabular.tables import read_table

# The packages that loading the model needs. Without this list MLflow takes seconds to infer them
MODEL_PACKAGES = ["scikit-learn", "pandas", "numpy", "skops"]


def go(args: argparse.Namespace) -> None:
    """Fetch, train and validate, publish."""
    data = read_table(use_artifact(args.train_artifact))
    train, validation = split(
        data,
        test_size=args.validation_size,
        group_by=args.group_by,
        stratify_by=args.stratify_by or None,
        seed=args.seed,
    )
    model = build_model(train[TEXT], args.max_tfidf_features, args.random_forest)
    # Also one by one, so that MLflow can compare runs by each
    mlflow.log_params({f"random_forest.{key}": value for key, value in args.random_forest.items()})
    model.fit(train[FEATURES], train[TARGET])
    model.set_params(forest__n_jobs=1)  # answers to single rows are faster without threads

    scores = regression_scores(validation[TARGET], model.predict(validation[FEATURES]))
    mlflow.log_metrics({f"validation_{name}": value for name, value in scores.items()})
    mlflow.log_figure(importance_figure(feature_importance(model)), "feature_importance.png")
    log_model(
        mlflow.sklearn.save_model,
        args.model_artifact,
        "Random forest from cleaned data to combined miles per gallon",
        sk_model=model,
        signature=infer_signature(train[FEATURES], model.predict(train[FEATURES])),
        input_example=train[FEATURES].head(5),
        pip_requirements=[f"{package}=={version(package)}" for package in MODEL_PACKAGES],
        skops_trusted_types=SKOPS_TRUSTED_TYPES,
    )


if __name__ == "__main__":
    launch(go)
