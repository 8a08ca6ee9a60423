"""Figures about a classifier, drawn by scikit-learn's Display classes, without pyplot."""

from typing import Any

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

from _utils.tabular.contract import Contract
from _utils.tabular.drawing import COLORS, LETTER, LINE, framed, frameless, shortened
from _utils.tabular.predictions import PREDICTION, PROBABILITY, classes_in
from _utils.tabular.scores import as_text, in_order, positive_class

MOST_CLASSES = 10
OTHERS = "(others)"
CURVES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "roc": (RocCurveDisplay, "roc_auc", {}),
    "precision_recall": (PrecisionRecallDisplay, "average_precision", {}),
    "calibration": (CalibrationDisplay, "brier", {"n_bins": 10, "strategy": "quantile"}),
}
QUESTIONS = {  # each with the labels of the axes
    "roc": ("How well are the classes told apart?", "False positive rate", "True positive rate"),
    "precision_recall": ("How precise is the model, the more it finds?", "Recall", "Precision"),
    "calibration": (
        "Are the predicted probabilities right?",
        "Predicted probability of the class",
        "Share of these rows that are of the class",
    ),
}


def confusion_figure(actual: pd.Series, predictions: pd.DataFrame, says: str) -> Figure:
    """Draw how many rows of each class were predicted as which; rare classes share a cell."""
    labels, predicted = as_text(actual), as_text(predictions[PREDICTION])
    frequent = pd.Series([*labels, *predicted]).value_counts().index
    shown = in_order(frequent if len(frequent) <= MOST_CLASSES else frequent[: MOST_CLASSES - 1])
    labels, predicted = (
        np.where(np.isin(each, shown), each, OTHERS) for each in (labels, predicted)
    )
    shown += [OTHERS] * (len(shown) < len(frequent))
    names = [shortened(name) for name in shown]
    longest, cells = LETTER * max(map(len, names)), max(4, 0.6 * len(shown))
    is_wide = longest > cells / len(shown)
    margins = {"left": 0.7 + longest, "bottom": 0.7 + is_wide * longest}
    figure = framed(
        max(4.2, margins["left"] + cells + 0.2),
        margins["bottom"] + cells + 0.75,
        "Which classes does the model confuse?",
        says,
        **margins,
    )
    axes = figure.subplots()
    counts = pd.crosstab(labels, predicted).reindex(index=shown, columns=shown, fill_value=0)
    ConfusionMatrixDisplay(counts.to_numpy(), display_labels=names).plot(
        xticks_rotation=90 if is_wide else "horizontal",
        cmap="Blues",
        values_format="d",
        colorbar=False,
        ax=axes,
    )
    axes.set(xlabel="Predicted", ylabel="Actual", anchor="W")
    return figure


def curve_figure(
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    name: str,
    says: str,
    display: Any,
    **options: Any,
) -> Figure:
    """Draw a curve for each class.

    Args:
        curves: Of each class, which rows belong to it, and its probabilities.
        name: Of the figure, in QUESTIONS.
        says: Scores.
        display: A Display class of scikit-learn with `from_predictions`.
        options: Its options.
    """
    question, xlabel, ylabel = QUESTIONS[name]
    figure = framed(6, 6, question, says, left=0.8)
    axes = figure.subplots()
    axes.set_prop_cycle(cycler(linestyle=["-", "--"]) * cycler(color=COLORS))
    for label, (is_class, probability) in curves.items():
        display.from_predictions(is_class, probability, name=label, ax=axes, **options)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel)
    if display is RocCurveDisplay:
        axes.plot([0, 1], [0, 1], **LINE)
    axes.legend(frameon=False, fontsize=9)
    frameless(axes)
    return figure


def curves_of(
    contract: Contract, actual: pd.Series, predictions: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The rows and the probabilities of the positive class, or of each of the frequent classes."""
    labels = as_text(actual)
    names = as_text(classes_in(predictions))
    columns = dict(zip(names, classes_in(predictions), strict=True))
    positive = positive_class(contract, names)
    frequent = pd.Series(labels).value_counts().index
    shown = [positive] if positive else in_order(frequent[:MOST_CLASSES])
    return {
        name: (labels == name, predictions[f"{PROBABILITY}{columns[name]}"].to_numpy("float64"))
        for name in shown
        if name in columns and 0 < (labels == name).sum() < len(labels)
    }
