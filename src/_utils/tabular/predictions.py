"""Predictions as a table: the prediction, and for classes the probability of each.

A column of the table holds the label that the model predicts for a row, or the number; for a
classifier with probabilities there is one more column per class, in the order of the classes.
"""

from typing import Any

import numpy as np
import pandas as pd

from _utils.errors import UserError

PREDICTION, PROBABILITY = "prediction", "probability_"
REASON = "rejection_reason"  # why a row has no prediction
# Columns that scoring adds, beside the probabilities. If an input has them, from an earlier
# scoring, they are dropped
ADDED_COLUMNS = [PREDICTION, "model_version", "input_version", REASON]


def is_added(name: str) -> bool:
    """Whether scoring adds a column of this name."""
    return name in ADDED_COLUMNS or name.startswith(PROBABILITY)


def features_of(model: Any) -> list[str]:
    """The columns that a model was trained on, which may differ from those of today's contract.

    Args:
        model: A fitted scikit-learn model, or a model loaded by MLflow.
    """
    if hasattr(model, "metadata"):
        return [*model.metadata.get_input_schema().input_names()]
    return [*model.feature_names_in_]


def columns_of(model: Any) -> list[str]:
    """The columns of the model's predictions."""
    classes = model.classes_ if hasattr(model, "predict_proba") else []
    return [PREDICTION, *(f"{PROBABILITY}{name}" for name in classes)]


def predict(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Predict rows, using the columns that the model was trained on.

    Args:
        model: A model with `predict`, and where it knows probabilities `predict_proba`.
        rows: Cleaned rows; other columns are ignored.

    Returns:
        The column `prediction`, and `probability_<class>` for each class of a classifier, with the
        index of `rows`.

    Raises:
        UserError: The rows lack one of these columns.
    """
    features = features_of(model)
    if lacking := [name for name in features if name not in rows]:
        raise UserError(
            f"A model was trained on {lacking}, which the rows lack; they have {[*rows]}. Add the "
            "columns, or promote a version that does not need them with "
            "mlflow run . -e promote -P version=<number>."
        )
    inputs = rows[features]
    columns = [np.asarray(model.predict(inputs))]
    if hasattr(model, "predict_proba"):
        columns += [*model.predict_proba(inputs).T]
    return pd.DataFrame(dict(zip(columns_of(model), columns, strict=True)), index=rows.index)


def classes_in(predictions: pd.DataFrame) -> list[str]:
    """The classes, as text, that the predictions have a probability for; empty without any."""
    names = [name for name in predictions if name.startswith(PROBABILITY)]
    return [name.removeprefix(PROBABILITY) for name in names]
