"""Promotion: whether a new model is good enough to take the place of the one in use."""

from typing import Any

import pandas as pd


def unseen_rows(test: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test set that are not among those that a model was trained on.

    When data come in, the split moves: a row that is set aside for the new model may have been
    in the training set of the old one, which then knows the answer.

    Args:
        test: Rows to compare models on.
        train: What a model was trained on. Columns that only one of the two has do not count.

    Returns:
        Those of `test`, with their index.
    """
    columns = [column for column in test.columns if column in train.columns]
    kinds = {column: _common_type(test[column], train[column]) for column in columns}
    new, seen = (
        pd.util.hash_pandas_object(frame[columns].astype(kinds), index=False)
        for frame in (test, train)
    )
    return test[~new.isin(seen).to_numpy()]


def _common_type(*columns: pd.Series) -> Any:
    """A type for both: one of them may have nulls, and so be of another type than the other."""
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
        scores: Of the model on the whole test set: `mae`, in mpg, and `r2`.
        errors: Mean absolute errors, in mpg, of `champion` and `challenger` (the model) on the
            rows that neither has seen; empty if there are none, None if there is no champion.
        max_mae: What `mae` may be at most, in mpg.
        min_r2: What `r2` has to be at least.
        min_improvement: By which share of the champion's error the model's has to be lower.

    Returns:
        Whether it does, and the reason.
    """
    mae, r2 = scores["mae"], scores["r2"]
    if mae > max_mae:
        return False, f"MAE {mae:.3f} mpg is above the limit of {max_mae}"
    if r2 < min_r2:
        return False, f"R2 {r2:.3f} is below the limit of {min_r2}"
    if errors is None:
        return True, f"the first: MAE {mae:.3f} mpg and R2 {r2:.3f} are within the limits"
    if not errors:
        return False, "the champion was trained on all of the test data: nothing to compare on"
    old, new = errors["champion"], errors["challenger"]
    improvement = 1 - new / old if old else 0.0
    compared = (
        f"on rows that neither has seen MAE {new:.3f} mpg, the champion's {old:.3f}: "
        f"{improvement:.1%} lower"
    )
    if improvement < min_improvement:
        return False, f"{compared}, and {min_improvement:.1%} are asked for"
    return True, compared
