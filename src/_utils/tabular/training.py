"""Train a model on most of the rows, and score it on the others."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from _utils.tabular.contract import Contract
from _utils.tabular.predictions import predict
from _utils.tabular.scores import MAIN, scores
from _utils.tabular.splitting import split


def train(
    build: Callable[[Contract, pd.DataFrame, int, dict[str, Any]], Pipeline],
    contract: Contract,
    data: pd.DataFrame,
    *,
    max_tfidf_features: int,
    parameters: dict[str, Any],
    validation_size: float,
    seed: int,
) -> tuple[Pipeline, pd.DataFrame, dict[str, float]]:
    """Split the rows, fit a model, and score it on the validation rows.

    Args:
        build: A function of model.py, such as `random_forest`.
        contract: What each column is.
        data: The rows to train and validate on.
        max_tfidf_features: As for `build`.
        parameters: As for `build`.
        validation_size: Share of the rows to validate on.
        seed: The same seed gives the same split.

    Returns:
        The fitted model, the features of the rows it was fitted on, and its scores on the other
        rows: `validation_<metric>`, and the main one of the task also as `validation_score`.
    """
    rows, validation = split(data, contract, test_size=validation_size, seed=seed)
    model = build(contract, rows, max_tfidf_features, parameters)
    features = rows[[*contract.features]]
    model.fit(features, rows[contract.target])
    if "n_jobs" in model["model"].get_params():
        model.set_params(model__n_jobs=1)  # answers to single rows are faster without threads
    reached = scores(contract, validation[contract.target], predict(model, validation))
    metrics = {f"validation_{name}": value for name, value in reached.items()}
    if (main := MAIN[contract.task]) in reached:
        metrics["validation_score"] = reached[main]
    return model, features, metrics
