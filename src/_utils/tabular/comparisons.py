"""What scores are compared with: groups of rows with each other, a model with a simple guess."""

import warnings

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from _utils.errors import UserError
from _utils.tabular.columns import to_text
from _utils.tabular.contract import Contract
from _utils.tabular.predictions import PREDICTION, PROBABILITY
from _utils.tabular.scores import as_text

MOST_GROUPS = 1000  # of classes; the rest of the groups is left out of the table


def scores_by(
    contract: Contract,
    frame: pd.DataFrame,
    actual: pd.Series,
    predictions: pd.DataFrame,
    by: str,
) -> pd.DataFrame:
    """Score predictions for each value of a column, because an average can hide a weak group.

    Args:
        contract: The contract of the table.
        frame: The rows that were predicted.
        actual: The true values, in the order of `frame`.
        predictions: The result of `predict`, in the order of `frame`.
        by: The column of `frame` to group by; nulls are a group of their own.

    Returns:
        One row per group, the largest group first, with `n` (rows). Regression: `mae`, `rmse`, and
        `bias` (mean of predicted minus actual; above 0 the predictions are too high).
        Classification: `accuracy` and `f1_macro`.

    Raises:
        UserError: The column does not exist.
    """
    if by not in frame.columns:
        raise UserError(f"Cannot score by '{by}'. Use one of the columns {list(frame.columns)}.")
    groups, score = frame[by].to_numpy(), _by_class if contract.is_classification else _by_error
    table = score(actual, predictions[PREDICTION], groups)
    return table.rename_axis(by).sort_values("n", ascending=False, kind="stable").reset_index()


def _by_error(actual: pd.Series, predicted: pd.Series, by: np.ndarray) -> pd.DataFrame:
    errors = np.asarray(predicted) - np.asarray(actual)
    columns = {"n": errors, "mae": abs(errors), "rmse": errors**2, "bias": errors}
    groups = pd.DataFrame(columns).groupby(by, dropna=False)
    table = groups.agg({"n": "size", "mae": "mean", "rmse": "mean", "bias": "mean"})
    table["rmse"] **= 0.5
    return table


def _by_class(actual: pd.Series, predicted: pd.Series, by: np.ndarray) -> pd.DataFrame:
    pairs = pd.DataFrame({"actual": as_text(actual), "predicted": as_text(predicted)})
    pairs["accuracy"] = pairs["actual"] == pairs["predicted"]
    groups = pairs.groupby(by, dropna=False)
    table = groups.agg(n=("accuracy", "size"), accuracy=("accuracy", "mean"))
    table = table.nlargest(MOST_GROUPS, "n")

    def f1_macro(rows: pd.DataFrame) -> float:
        return f1_score(rows["actual"], rows["predicted"], average="macro", zero_division=0)

    with warnings.catch_warnings():  # of groups with one class
        warnings.simplefilter("ignore")
        scores = {name: f1_macro(rows) for name, rows in groups if name in table.index}
    return table.assign(f1_macro=[scores[name] for name in table.index])


def baseline(contract: Contract, target: pd.Series, index: pd.Index) -> pd.DataFrame:
    """What one would predict without a model, as `predict` has it.

    Args:
        contract: The contract of the table.
        target: The true values of the training data.
        index: The index of the rows to predict.

    Returns:
        Regression: the mean. Classification: the most frequent class, with the shares of all
        classes as probabilities.
    """
    if not contract.is_classification:
        return pd.DataFrame({PREDICTION: float(target.mean())}, index=index)
    shares = to_text(target).value_counts(normalize=True).sort_index()
    columns = {f"{PROBABILITY}{name}": share for name, share in shares.items()}
    return pd.DataFrame({PREDICTION: shares.idxmax(), **columns}, index=index)
