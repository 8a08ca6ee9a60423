"""Scores of predictions: overall, and for each value of a column."""

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from _utils.errors import UserError


def regression_scores(actual: pd.Series, predicted: pd.Series) -> dict[str, float]:
    """Score all predictions.

    Args:
        actual: The true values; at least two.
        predicted: The predictions, in the same order.

    Returns:
        `mae` (mean absolute error) and `rmse` (root mean squared error) in the unit of the values,
        and `r2` (coefficient of determination: 1 is perfect, 0 no better than predicting the mean).
    """
    return {
        "mae": float(mean_absolute_error(actual, predicted)),
        "rmse": float(root_mean_squared_error(actual, predicted)),
        "r2": float(r2_score(actual, predicted)),
    }


def scores_by(
    frame: pd.DataFrame, actual: pd.Series, predicted: pd.Series, by: str
) -> pd.DataFrame:
    """Score predictions for each value of a column, because an average can hide a weak group.

    Args:
        frame: The rows that were predicted.
        actual: The true values, in the order of `frame`.
        predicted: The predictions, in the order of `frame`.
        by: The column of `frame` to group by; nulls are a group of their own.

    Returns:
        One row per group, the largest group first, with `n` (rows), `mae`, `rmse`, and `bias` (mean
        of predicted minus actual; above 0 the predictions are too high).

    Raises:
        UserError: The column does not exist.
    """
    if by not in frame.columns:
        raise UserError(f"Cannot score by '{by}'. Use one of the columns {list(frame.columns)}.")
    errors = np.asarray(predicted) - np.asarray(actual)
    columns = {"n": errors, "mae": abs(errors), "rmse": errors**2, "bias": errors}
    groups = pd.DataFrame(columns).groupby(frame[by].to_numpy(), dropna=False)
    table = groups.agg({"n": "size", "mae": "mean", "rmse": "mean", "bias": "mean"})
    table["rmse"] **= 0.5
    return table.rename_axis(by).sort_values("n", ascending=False, kind="stable").reset_index()
