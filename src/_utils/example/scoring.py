"""Score raw rows: predictions, and the reasons why a row cannot have a prediction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from _utils.example.cleaning import NUMBER_COLUMNS, tidy
from _utils.example.model import FEATURES, TEXT, features_of

PREDICTION, REASON = "prediction", "reason"
FINITE = float(np.finfo("float64").max)


def score(model: Any, chunk: pd.DataFrame, **limits: Any) -> tuple[pd.DataFrame, pd.Series]:
    """Score the rows that can be scored.

    Args:
        model: A fitted model with `predict` and `feature_names_in_`.
        chunk: Raw rows.
        limits: Keyword arguments of `prepare`.

    Returns:
        The rows with a prediction, cleaned and with the column `prediction`; and for all other rows
        the reason. Both have the index of `chunk`.
    """
    features = features_of(model)
    frame, rejected = prepare(chunk, features, **limits)
    predicted, failed = predict(model, frame[features])
    scored = frame if failed.empty else frame.loc[predicted.index]
    scored = scored.assign(**{PREDICTION: predicted})
    return scored, pd.concat([rejected[REASON], failed]).sort_index()


def prepare(
    chunk: pd.DataFrame,
    features: Sequence[str] = FEATURES,
    *,
    unknown_codes: list[str],
    max_engine_displacement: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clean the rows, and reject those for which a prediction would be worthless.

    A row is rejected if a number is not a number (the model would treat it as null) or impossible,
    or if the car has no name (nobody could tell which car the prediction is for). Nulls and unknown
    categories are accepted, because the model handles them.

    Args:
        chunk: Raw rows. They are not modified.
        features: The columns that the model needs.
        unknown_codes: Texts that mean "unknown"; such a cell becomes null.
        max_engine_displacement: Largest plausible `engine_displacement`, in litres.

    Returns:
        The accepted rows, cleaned, and the rejected rows, raw and with the column `reason`. Both
        have the index of `chunk`.
    """
    frame, unreadable, _ = tidy(chunk, unknown_codes)
    faults = [pd.Series(dtype="object")]
    for column in [name for name in features if name in NUMBER_COLUMNS]:
        if column in unreadable:
            cells = unreadable[column].astype("str").str.slice(0, 50)
            faults.append(f"{column} '" + cells + "' is not a number")
        largest = max_engine_displacement if column == "engine_displacement" else FINITE
        faults.append(_outside(frame[column], largest))
    if TEXT in frame:
        nameless = frame[TEXT].str.strip().fillna("").eq("")
        faults.append(nameless[nameless].map({True: f"{TEXT} is empty"}))
    each_fault = pd.concat([each.astype("object") for each in faults])
    reasons = each_fault.groupby(level=0).agg("; ".join).rename(REASON)
    rejected = chunk.loc[reasons.index].assign(**{REASON: reasons})
    return frame if reasons.empty else frame.drop(index=reasons.index), rejected


def _outside(numbers: pd.Series, largest: float) -> pd.Series:
    """The reasons for numbers below 0 or above the largest plausible one, which may be FINITE."""
    limits = "is below 0 or infinite" if largest == FINITE else f"is not between 0 and {largest:g}"
    outside = numbers[~numbers.between(0, largest) & numbers.notna()].astype("str")
    return f"{numbers.name} " + outside + f" {limits}"


def predict(model: Any, frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Predict. If the model fails, halve the rows until the rows that cause the failure are known.

    Returns:
        The predictions, and for rows without one the reason. Both have the index of `frame`.
    """
    nothing = pd.Series(dtype="float64"), pd.Series(dtype="object")
    if frame.empty:
        return nothing
    try:
        predicted = pd.Series(np.asarray(model.predict(frame), "float64"), index=frame.index)
    except Exception as error:  # any error of the model becomes the reason
        if len(frame) == 1:
            reason = f"the model fails: {' '.join(str(error).split())[:200]}"
            return nothing[0], pd.Series(reason, index=frame.index, dtype="object")
        half = len(frame) // 2
        parts = [predict(model, part) for part in (frame.iloc[:half], frame.iloc[half:])]
        return tuple(pd.concat(each) for each in zip(*parts, strict=True))
    if (finite := np.isfinite(predicted)).all():
        return predicted, nothing[1]
    failed = predicted[~finite].map("the model predicts {}".format).astype("object")
    return predicted[finite], failed
