"""Scoring: predictions for rows as they come, and the reasons of those that cannot have one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from _utils.example.cleaning import NUMBER_COLUMNS, tidy
from _utils.example.model import FEATURES, TEXT, features_of

PREDICTION, REASON = "prediction", "reason"
FINITE = np.finfo("float64").max


def score(model: Any, chunk: pd.DataFrame, **limits: Any) -> tuple[pd.DataFrame, pd.Series]:
    """Score the rows that can be scored.

    Args:
        model: Its `predict` takes a table, and its `feature_names_in_` are the columns it needs.
        chunk: Rows as they were collected.
        limits: As `prepare` takes them.

    Returns:
        The rows that have a prediction, prepared and with the column `prediction`, and the reasons
        of the others; each with the index of `chunk`.
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
    """Tell the rows apart that a prediction would be worth something for.

    A null and a category that the model does not know are no obstacle: the model takes them. What
    is: a number that is none, for the model would take it for a null; one that no car can have;
    and a car without a name, for nobody could tell whose prediction it is.

    Args:
        chunk: Rows as they were collected. It is left as it is.
        features: The columns that the model needs.
        unknown_codes: Texts that mean "unknown"; a cell that equals one becomes null.
        max_engine_displacement: Greatest plausible `engine_displacement`, in litres.

    Returns:
        Those rows, as cleaning leaves them, and the others as they were with the column `reason`;
        each with the index of `chunk`.
    """
    frame, unread, _ = tidy(chunk, unknown_codes)
    faults = []
    for column in [name for name in features if name in NUMBER_COLUMNS]:
        greatest, limits = float(FINITE), "is below 0 or infinite"
        if column == "engine_displacement":
            greatest = max_engine_displacement
            limits = f"is not between 0 and {greatest:g}"
        if column in unread:
            cells = unread[column].astype("str").str.slice(0, 50)
            faults.append(f"{column} '" + cells + "' is not a number")
        numbers = frame[column]
        outside = numbers[~numbers.between(0, greatest) & numbers.notna()].astype("str")
        faults.append(f"{column} " + outside + f" {limits}")
    if TEXT in frame:
        nameless = frame[TEXT].str.strip().fillna("").eq("")
        faults.append(nameless[nameless].map({True: f"{TEXT} is empty"}))
    found = pd.concat([each for each in faults if len(each)] or [pd.Series(dtype="object")])
    reasons = found.groupby(level=0).agg("; ".join).rename(REASON)
    rejected = chunk.loc[reasons.index].assign(**{REASON: reasons})
    return frame if reasons.empty else frame.drop(index=reasons.index), rejected


def predict(model: Any, frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Predict; where the model fails, halve the rows until those are found that it fails for.

    Returns:
        The predictions of rows that have one, and the reasons of the others; by the index of
        `frame`.
    """
    nothing = pd.Series(dtype="float64"), pd.Series(dtype="object")
    if frame.empty:
        return nothing
    try:
        predicted = pd.Series(np.asarray(model.predict(frame), "float64"), index=frame.index)
    except Exception as error:  # of whatever kind: it is the reason told
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
