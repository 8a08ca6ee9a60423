"""Monitoring: what a batch is compared with, and how the comparison is shown."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from _utils.example.chunks import ADDED_COLUMNS
from _utils.example.drift import CATEGORY, NUMBER, TEXT, compare
from _utils.example.drift_figures import psi_figure, shares_figure
from _utils.example.model import CATEGORICAL, NUMERIC, TARGET, features_of
from _utils.example.model import TEXT as TEXT_COLUMN
from _utils.example.promotion import unseen_rows
from _utils.example.scoring import PREDICTION, predict
from _utils.example.verdict import PERFORMANCE
from _utils.tabular.names import plain_names

KINDS = dict.fromkeys(NUMERIC, NUMBER) | dict.fromkeys(CATEGORICAL, CATEGORY) | {TEXT_COLUMN: TEXT}


def kinds_of(model: Any, train: pd.DataFrame) -> dict[str, str]:
    """The kinds of the columns that a model was trained on, which may differ from FEATURES."""
    kinds = {}
    for name in features_of(model):
        is_number = pd.api.types.is_numeric_dtype(train[name])
        kinds[name] = KINDS.get(name) or (NUMBER if is_number else CATEGORY)
    return kinds


def compare_all(
    train: pd.DataFrame, test: pd.DataFrame, batch: pd.DataFrame, kinds: dict[str, str]
) -> pd.DataFrame:
    """The result of `drift.compare` for features and predictions.

    A forest predicts its training rows almost perfectly, but never new rows. So the predictions are
    compared with those for the test rows, and the features with the training rows.
    """
    tables = [compare(train, batch, kinds), compare(test, batch, {PREDICTION: NUMBER})]
    return pd.concat(tables, ignore_index=True)


def labelled_rows(batch: pd.DataFrame, train: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows with a label that the model was not trained on, and the number of those it was."""
    labelled = batch[batch[TARGET].notna()] if TARGET in batch else batch.head(0)
    unseen = unseen_rows(labelled.drop(columns=ADDED_COLUMNS, errors="ignore"), train)
    if TARGET not in unseen:
        unseen = unseen.assign(**{TARGET: pd.Series(dtype="float64")})
    return unseen, len(labelled) - len(unseen)


def errors_before_and_now(
    earlier: Any, train: pd.DataFrame, unseen: pd.DataFrame, predictions: pd.Series
) -> tuple[float, float, int] | None:
    """The mean absolute errors of an earlier model and of this one, on rows that neither has seen.

    Args:
        earlier: The earlier model.
        train: The data that the earlier model was trained on.
        unseen: Rows with a label that this model was not trained on.
        predictions: The predictions of this model.

    Returns:
        Both errors, and the number of rows; None if there are no such rows.
    """
    rows = unseen_rows(unseen, train)
    predicted, _ = predict(earlier, rows[features_of(earlier)])
    if predicted.empty:
        return None
    actual = rows.loc[predicted.index, TARGET]
    before, now = ((each - actual).abs().mean() for each in (predicted, predictions[actual.index]))
    return before, now, len(actual)


def metrics_of(
    table: pd.DataFrame, reasons: pd.Series, scores: dict[str, float], rows: int
) -> dict[str, float]:
    """The measurements as metrics, and `alarm`, which is 1 if there is a reason for one."""
    columns = table.set_index("column")
    metrics = {
        "alarm": int(len(reasons) > 0),
        "drifted_columns": reasons.index.drop(PERFORMANCE, errors="ignore").nunique(),
        "max_psi": columns["psi"].max(),
        **scores,
        "rows": rows,
    }
    names = plain_names(columns.index)
    for kind in ("psi", "missing", "unseen"):
        metrics |= {f"{kind}.{names[name]}": value for name, value in columns[kind].items()}
    return {name: value for name, value in metrics.items() if pd.notna(value)}


def figures_of(
    table: pd.DataFrame,
    reasons: pd.Series,
    train: pd.DataFrame,
    test: pd.DataFrame,
    batch: pd.DataFrame,
    max_psi: float,
) -> dict[str, Figure]:
    """Figures by title: PSI, predictions, and the columns that are a reason for the alarm."""
    psi = table.set_index("column")["psi"].dropna()
    figures = {"PSI by column": psi_figure(psi, max_psi)}
    for name in psi.index:
        if name == PREDICTION or name in reasons.index:
            reference = test if name == PREDICTION else train
            figures[f"Values of {name}"] = shares_figure(reference[name], batch[name])
    return figures
