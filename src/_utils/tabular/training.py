"""Train a model on most of the rows, and score it on the others."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight

from _utils.errors import UserError
from _utils.tabular.columns import to_text
from _utils.tabular.contract import Contract
from _utils.tabular.predictions import predict
from _utils.tabular.scores import MAIN, as_text, in_order, scores
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

    Classes weigh the same, however rare they are, if `class_weight` is not among the parameters.

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

    Raises:
        UserError: A parameter is wrong, or no row has the positive class.
    """
    _check_positive(contract, data[contract.target])
    rows, validation = split(data, contract, test_size=validation_size, seed=seed)
    model = build(contract, rows, max_tfidf_features, parameters)
    features, target, weights = rows[[*contract.features]], rows[contract.target], {}
    if contract.is_classification and "class_weight" not in parameters:
        # Not class_weight="balanced": forests of scikit-learn refuse it for texts such as "1"
        weights["model__sample_weight"] = compute_sample_weight("balanced", target)
    model.fit(features, target, **weights)
    if "n_jobs" in model["model"].get_params():
        model.set_params(model__n_jobs=1)  # answers to single rows are faster without threads
    reached = scores(contract, validation[contract.target], predict(model, validation))
    metrics = {f"validation_{name}": value for name, value in reached.items()}
    if (main := MAIN[contract.task]) in reached:
        metrics["validation_score"] = reached[main]
    return model, features, metrics


def _check_positive(contract: Contract, labels: pd.Series) -> None:
    """Refuse a positive class that no row has: the scores would be those of another class."""
    if contract.positive is None or not contract.is_classification:
        return
    if as_text([contract.positive])[0] not in (classes := in_order(to_text(labels).unique())):
        raise UserError(
            f"positive: '{contract.positive}' in the contract is not a class of "
            f"'{contract.target}'. Use one of {', '.join(classes[:30])}."
        )
