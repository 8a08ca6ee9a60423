"""Promotion: decide whether a new model replaces the champion."""

from typing import Any

import pandas as pd


def unseen_rows(test: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test set that a model was not trained on.

    When data are added, the split changes: a test row of the new model may have been a training row
    of the old model, which has then seen the label.

    Args:
        test: Rows to compare models on.
        train: Rows that a model was trained on. Columns that only one of the two has are ignored.

    Returns:
        The unseen rows of `test`, with their index.
    """
    columns = [column for column in test.columns if column in train.columns]
    kinds = {column: _common_type(test[column], train[column]) for column in columns}
    new, seen = (
        pd.util.hash_pandas_object(frame[columns].astype(kinds), index=False)
        for frame in (test, train)
    )
    return test[~new.isin(seen).to_numpy()]


def _common_type(*columns: pd.Series) -> Any:
    """A type for both columns, which differ in type if, for example, only one has nulls."""
    types = {column.dtype for column in columns}
    if len(types) == 1:
        return types.pop()
    if not all(map(pd.api.types.is_numeric_dtype, columns)):
        return "str"
    return pd.concat([column.head(0) for column in columns]).dtype  # whole numbers stay exact


def decide_promotion(
    scores: dict[str, float],
    errors: dict[str, float] | None,
    *,
    max_mae: float,
    min_r2: float,
    min_improvement: float,
) -> tuple[bool, str]:
    """Decide whether a model becomes the champion.

    Args:
        scores: The model's `mae` (in mpg) and `r2` on the whole test set.
        errors: Mean absolute errors, in mpg, of `champion` and `challenger` (the model) on the
            rows that neither has seen; empty if there are no such rows, None without a champion.
        max_mae: Largest `mae` of a champion, in mpg.
        min_r2: Smallest `r2` of a champion.
        min_improvement: The share by which the model's error must be lower than the champion's.

    Returns:
        Whether the model becomes the champion, and the reason.
    """
    mae, r2 = scores["mae"], scores["r2"]
    if mae > max_mae:
        return False, f"MAE {mae:.3f} mpg is above the limit of {max_mae}"
    if r2 < min_r2:
        return False, f"R2 {r2:.3f} is below the limit of {min_r2}"
    if errors is None:
        return True, f"MAE {mae:.3f} mpg, R2 {r2:.3f}, within limits (no champion yet)"
    if not errors:
        return False, "the champion was trained on all test rows, so the two cannot be compared"
    old, new = errors["champion"], errors["challenger"]
    improvement = 1 - new / old if old else 0.0
    comparison = (
        f"MAE {new:.3f} mpg on unseen rows is {abs(improvement):.1%} "
        f"{'higher' if improvement < 0 else 'lower'} than the champion's {old:.3f}"
    )
    if improvement < min_improvement:
        return False, f"{comparison}; at least {min_improvement:.1%} lower is required"
    return True, comparison
