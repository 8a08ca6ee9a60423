"""Figures about a trained model, drawn by scikit-learn's Display classes.

They are drawn without pyplot, which would keep every figure in memory and needs a display.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
)

from _utils.tabular.contract import Contract
from _utils.tabular.predictions import PREDICTION, PROBABILITY, classes_in
from _utils.tabular.scores import as_text, in_order, positive_class

# A dollar sign in a column's name or a value does not start a formula
mpl.rcParams["text.parse_math"] = False

POINTS: dict[str, Any] = {"s": 18, "alpha": 0.5, "color": "tab:blue", "edgecolors": "none"}
MOST_CLASSES, MOST_POINTS = 10, 5000
OTHERS = "(others)"
LINE: dict[str, Any] = {"color": "0.3", "linewidth": 1, "linestyle": "--"}


def figures_of(
    contract: Contract, actual: pd.Series, predictions: pd.DataFrame
) -> dict[str, Figure]:
    """The usual figures of the task, by name; what these rows leave undefined is missing.

    Args:
        contract: The contract of the table.
        actual: The true values, without nulls.
        predictions: The result of `predict` for the same rows, in the same order.
    """
    if not contract.is_classification:
        return {
            "predicted_against_actual": predicted_against_actual(contract, actual, predictions),
            "residuals": residual_figure(contract, actual, predictions),
        }
    figures = {"confusion_matrix": confusion_figure(actual, predictions)}
    if curves := _curves(contract, actual, predictions):
        figures |= {
            "roc": curve_figure(curves, "ROC curve", RocCurveDisplay),
            "precision_recall": curve_figure(
                curves, "Precision and recall", PrecisionRecallDisplay
            ),
            "calibration": curve_figure(
                curves, "Calibration", CalibrationDisplay, n_bins=10, strategy="quantile"
            ),
        }
    return figures


def importance_figure(importance: pd.Series, label: str) -> Figure:
    """Draw the importance of the columns as bars.

    Args:
        importance: Of each column, in descending order.
        label: What the numbers are.
    """
    height = 1.2 + 0.3 * len(importance)
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(importance.index, importance, color="tab:blue")
    axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=9)
    axes.invert_yaxis()  # the largest on top
    axes.margins(x=0.12)
    axes.set(title="Feature importance", xlabel=label)
    frameless(axes)
    return figure


def predicted_against_actual(
    contract: Contract, actual: pd.Series, predictions: pd.DataFrame
) -> Figure:
    """Draw each prediction against the actual value."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    _draw_errors(axes, "actual_vs_predicted", actual, predictions)
    unit = f" ({contract.unit})" if contract.unit else ""
    axes.set(title="Predicted against actual", xlabel=f"Predicted{unit}", ylabel=f"Actual{unit}")
    frameless(axes)
    return figure


def residual_figure(contract: Contract, actual: pd.Series, predictions: pd.DataFrame) -> Figure:
    """Draw the residuals (actual minus predicted) against the prediction and as histogram."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    points, counts = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    _draw_errors(points, "residual_vs_predicted", actual, predictions)
    unit = f" ({contract.unit})" if contract.unit else ""
    points.set(xlabel=f"Predicted{unit}", ylabel=f"Residual: actual minus predicted{unit}")
    residuals = np.asarray(actual, "float64") - predictions[PREDICTION].to_numpy("float64")
    counts.hist(residuals, bins=30, orientation="horizontal", color="tab:blue")
    counts.axhline(0, **LINE)
    counts.set(xlabel="Number of rows")
    for axes in (points, counts):
        frameless(axes)
    figure.suptitle("Errors of the model")
    return figure


def confusion_figure(actual: pd.Series, predictions: pd.DataFrame) -> Figure:
    """Draw how many rows of each class were predicted as which; rare classes share a cell."""
    labels, predicted = as_text(actual), as_text(predictions[PREDICTION])
    frequent = pd.Series([*labels, *predicted]).value_counts().index
    shown = in_order(frequent if len(frequent) <= MOST_CLASSES else frequent[: MOST_CLASSES - 1])
    labels, predicted = (
        np.where(np.isin(each, shown), each, OTHERS) for each in (labels, predicted)
    )
    shown += [OTHERS] * (len(shown) < len(frequent))
    size = 3 + 0.6 * len(shown)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    counts = pd.crosstab(labels, predicted).reindex(index=shown, columns=shown, fill_value=0)
    ConfusionMatrixDisplay(counts.to_numpy(), display_labels=shown).plot(
        xticks_rotation=90 if max(map(len, shown)) > 5 else "horizontal",
        cmap="Blues",
        values_format="d",
        colorbar=False,
        ax=axes,
    )
    axes.set(title="Confusion matrix", xlabel="Predicted", ylabel="Actual")
    return figure


def curve_figure(
    curves: dict[str, tuple[np.ndarray, np.ndarray]], title: str, display: Any, **options: Any
) -> Figure:
    """Draw a curve for each class.

    Args:
        curves: Of each class, which rows belong to it, and its probabilities.
        title: The title of the figure.
        display: A Display class of scikit-learn with `from_predictions`.
        options: Its options.
    """
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    for name, (is_class, probability) in curves.items():
        display.from_predictions(is_class, probability, name=name, ax=axes, **options)
    axes.set(title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if display is RocCurveDisplay:
        axes.plot([0, 1], [0, 1], **LINE)
    axes.legend(frameon=False, fontsize=9)
    frameless(axes)
    return figure


def _curves(
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


def _draw_errors(axes: Axes, kind: str, actual: pd.Series, predictions: pd.DataFrame) -> None:
    PredictionErrorDisplay.from_predictions(
        np.asarray(actual, "float64"),
        predictions[PREDICTION].to_numpy("float64"),
        kind=kind,
        subsample=MOST_POINTS,
        random_state=42,
        ax=axes,
        scatter_kwargs=POINTS,
        line_kwargs=LINE,
    )


def frameless(axes: Axes) -> None:
    """Hide the lines above and to the right of the axes."""
    axes.spines[["top", "right"]].set_visible(False)
