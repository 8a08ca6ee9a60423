"""Monitoring: what a batch is compared with, and how the comparison is shown."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from _utils.errors import UserError
from _utils.tabular.columns import to_text
from _utils.tabular.contract import Contract
from _utils.tabular.drift.figures import psi_figure, shares_figure
from _utils.tabular.drift.measures import compare
from _utils.tabular.drift.verdict import PERFORMANCE
from _utils.tabular.names import plain_names
from _utils.tabular.predictions import PREDICTION, predict
from _utils.tabular.promotion import unseen_rows
from _utils.tabular.scores import in_order, score
from _utils.tabular.terms import CATEGORY, DATE, NUMBER

# Titles of figures
PSI, VALUES_OF = "PSI by column", "Values of "
# Columns that scoring adds; the training data have them if they were made from scored rows
ADDED = [PREDICTION, "model_version", "input_version"]


def kinds_of(contract: Contract) -> dict[str, str]:
    """The kinds of the features to compare. Dates are left out: new rows have new dates."""
    return {name: kind for name, kind in contract.features.items() if kind != DATE}


def compare_all(
    train: pd.DataFrame, test: pd.DataFrame, batch: pd.DataFrame, contract: Contract
) -> pd.DataFrame:
    """The result of `compare` for features and predictions.

    A forest predicts its training rows almost perfectly, but never new rows. So the predictions are
    compared with those for the test rows, and the features with the training rows.
    """
    kind = CATEGORY if contract.is_classification else NUMBER
    tables = [compare(train, batch, kinds_of(contract)), compare(test, batch, {PREDICTION: kind})]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def classes_as_text(rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The rows, with labels and predictions as text if they are classes: 1 and "1" are the same."""
    names = [contract.target, PREDICTION] if contract.is_classification else []
    return rows.assign(**{name: to_text(rows[name]) for name in names if name in rows})


def labelled_rows(
    batch: pd.DataFrame, train: pd.DataFrame, contract: Contract
) -> tuple[pd.DataFrame, int]:
    """The rows with a label that the model was not trained on, and the number of those it was.

    Args:
        batch: New rows with their predictions.
        train: The rows that the model was trained on.
        contract: The contract of the model.

    Raises:
        UserError: There are labels, but none is a class of the model.
    """
    if contract.target not in batch:
        empty = pd.Series(dtype="str" if contract.is_classification else "float64")
        return batch.head(0).assign(**{contract.target: empty}), 0
    labelled = batch[batch[contract.target].notna()]
    if contract.is_classification and len(labelled):
        classes, labels = train[contract.target].unique(), labelled[contract.target]
        if not labels.isin(classes).any():
            raise UserError(
                f"'{labels.iloc[0]}' and all other labels of the new rows are no class of the "
                f"model, whose classes are {', '.join(in_order(classes)[:30])}. Write the labels "
                "as in the training data."
            )
    unseen = unseen_rows(labelled, train.drop(columns=ADDED, errors="ignore"))
    return unseen, len(labelled) - len(unseen)


def scores_before_and_now(
    metric: str,
    contract: Contract,
    earlier: Any,
    train: pd.DataFrame,
    unseen: pd.DataFrame,
    predictions: pd.DataFrame,
) -> tuple[float, float, int] | None:
    """The scores of an earlier model and of this one, on rows that neither has seen.

    Args:
        metric: The metric.
        contract: The contract of this model.
        earlier: The earlier model.
        train: The data that the earlier model was trained on.
        unseen: Rows with a label that this model was not trained on.
        predictions: The predictions of this model, with the index of these rows.

    Returns:
        Both scores, and the number of rows; None if there are no such rows, or too few.
    """
    rows = unseen_rows(unseen, train)
    if rows.empty:
        return None
    actual = rows[contract.target]
    both = predict(earlier, rows), predictions.loc[rows.index]
    before, now = (score(metric, contract, actual, each) for each in both)
    return None if before is None or now is None else (before, now, len(rows))


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
    figures = {PSI: psi_figure(psi, max_psi)}
    for name in psi.index:
        if name == PREDICTION or name in reasons.index:
            reference = test if name == PREDICTION else train
            figures[f"{VALUES_OF}{name}"] = shares_figure(reference[name], batch[name])
    return figures
