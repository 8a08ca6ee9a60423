"""Score raw rows: predictions, and the reasons why a row cannot have a prediction."""

from typing import Any

import numpy as np
import pandas as pd

from _utils.tabular import predictions
from _utils.tabular.cleaning import Rules, outside, tidy
from _utils.tabular.contract import Column, Contract
from _utils.tabular.predictions import PREDICTION, REASON, columns_of
from _utils.tabular.terms import DATE, NUMBER, TEXT


def score(
    model: Any,
    chunk: pd.DataFrame,
    contract: Contract,
    unknown_codes: list[str],
    rules: Rules | None = None,
) -> tuple[pd.DataFrame, pd.Series]:
    """Score the rows that can be scored.

    Args:
        model: A fitted model, see `predictions.predict`.
        chunk: Raw rows.
        contract: The contract that the model was trained with.
        unknown_codes: Texts that mean "unknown"; such a cell becomes null.
        rules: Corrections that are special to this table.

    Returns:
        The rows with a prediction, cleaned and with the columns of `predictions.predict`; and for
        all other rows the reason. Both have the index of `chunk`.
    """
    frame, rejected = prepare(chunk, contract, unknown_codes, rules)
    predicted, failed = predict(model, frame)
    scored = frame if failed.empty else frame.loc[predicted.index]
    scored = scored.assign(**predicted)
    return scored, pd.concat([rejected[REASON], failed]).sort_index()


def prepare(
    chunk: pd.DataFrame, contract: Contract, unknown_codes: list[str], rules: Rules | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clean the rows, and reject those for which a prediction would be worthless.

    A row is rejected if a number or date cannot be read (the model would treat it as null), if a
    number lies outside the limits of the contract, or if a text that must be there is empty. Other
    nulls and unknown categories are accepted, because the model handles them.

    Args:
        chunk: Raw rows. They are not modified.
        contract: The contract that the model was trained with.
        unknown_codes: Texts that mean "unknown"; such a cell becomes null.
        rules: Corrections that are special to this table.

    Returns:
        The accepted rows, cleaned, and the rejected rows, raw and with the column
        `rejection_reason`. Both have the index of `chunk`.
    """
    frame, unreadable, _ = tidy(chunk, contract, unknown_codes, rules)
    faults = [pd.Series(dtype="object")]
    for name, kind in contract.features.items():
        if kind in (NUMBER, DATE) and name in unreadable:
            cells = unreadable[name].astype("str").str.slice(0, 50)
            faults.append(f"{name} '" + cells + f"' is not a {kind}")
        if kind == NUMBER:
            faults.append(_outside(frame[name], contract.columns[name]))
        if kind == TEXT and not contract.columns[name].nullable:
            empty = frame[name].str.strip().fillna("").eq("")
            faults.append(empty[empty].map({True: f"{name} is empty"}))
    each_fault = pd.concat([each.astype("object") for each in faults])
    reasons = each_fault.groupby(level=0).agg("; ".join).rename(REASON)
    rejected = chunk.loc[reasons.index].assign(**{REASON: reasons})
    return frame if reasons.empty else frame.drop(index=reasons.index), rejected


def _outside(numbers: pd.Series, column: Column) -> pd.Series:
    """The reasons for numbers that are infinite, or outside the limits of the contract."""
    cells = numbers[outside(numbers, column)]
    why = "is infinite" if column.min is None and column.max is None else ""
    if column.min is not None:
        why = f"is below {column.min:g} or infinite"
    if column.max is not None:
        why = f"is above {column.max:g} or infinite"
    if column.min is not None and column.max is not None:
        why = f"is not between {column.min:g} and {column.max:g}"
    return f"{numbers.name} " + cells.astype("str") + f" {why}"


def predict(model: Any, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Predict; if the model fails, halve the rows until those that cause the failure are known.

    Returns:
        The predictions, and for rows without one the reason. Both have the index of `frame`.
    """
    nothing = pd.DataFrame({name: [] for name in columns_of(model)}), pd.Series(dtype="object")
    if frame.empty:
        return nothing
    try:
        predicted = predictions.predict(model, frame)
    except Exception as error:  # any error of the model becomes the reason
        if len(frame) == 1:
            reason = f"the model fails: {' '.join(str(error).split())[:200]}"
            return nothing[0], pd.Series(reason, index=frame.index, dtype="object")
        half = len(frame) // 2
        first, second = predict(model, frame.iloc[:half]), predict(model, frame.iloc[half:])
        found = [each for each, _ in (first, second) if len(each)] or [nothing[0]]
        return pd.concat(found), pd.concat([first[1], second[1]])
    labels = predicted[PREDICTION]
    if not pd.api.types.is_float_dtype(labels) or (finite := np.isfinite(labels)).all():
        return predicted, nothing[1]
    failed = labels[~finite].map("the model predicts {}".format).astype("object")
    return predicted[finite], failed
