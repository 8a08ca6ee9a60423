"""Figures about a trained model, drawn by scikit-learn's Display classes.

They are drawn without pyplot, which would keep every figure in memory and needs a display.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator
from sklearn.metrics import PredictionErrorDisplay

from _utils.tabular.class_figures import CURVES, confusion_figure, curve_figure, curves_of
from _utils.tabular.contract import Contract
from _utils.tabular.drawing import (
    BLUE,
    LINE,
    bar_axes,
    figure_of,
    framed,
    frameless,
    shortened,
)
from _utils.tabular.predictions import PREDICTION
from _utils.tabular.wording import with_unit

MOST_POINTS = 5000
POINTS: dict[str, Any] = {"s": 18, "alpha": 0.5, "color": BLUE, "edgecolors": "none"}


def figures_of(
    contract: Contract, actual: pd.Series, predictions: pd.DataFrame, scores: dict[str, float]
) -> dict[str, Figure]:
    """The usual figures of the task, by name; what these rows leave undefined is missing.

    Args:
        contract: The contract of the table.
        actual: The true values, without nulls.
        predictions: The result of `predict` for the same rows, in the same order.
        scores: The result of `scores` for them, to stand on the figures.
    """
    texts = {name: with_unit(name, value, contract) for name, value in scores.items()}
    if not contract.is_classification:
        says = ", ".join(texts[name] for name in ("mae", "r2") if name in texts)
        return {
            "predicted_against_actual": predicted_against_actual(
                contract, actual, predictions, says
            ),
            "residuals": residual_figure(contract, actual, predictions, says),
        }
    says = ", ".join(texts[name] for name in ("balanced_accuracy", "f1_macro") if name in texts)
    figures = {"confusion_matrix": confusion_figure(actual, predictions, says)}
    if curves := curves_of(contract, actual, predictions):
        for name, (display, metric, options) in CURVES.items():
            figures[name] = curve_figure(curves, name, texts.get(metric, ""), display, **options)
    return figures


def importance_figure(importance: pd.Series, label: str) -> Figure:
    """Draw the importance of the columns as bars.

    Args:
        importance: Of each column, in descending order.
        label: What the numbers are.
    """
    axes = bar_axes([*importance.index], "Which columns does the model rely on?")
    bars = axes.barh(range(len(importance)), importance, color=BLUE)
    axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=9)
    axes.margins(x=0.12)
    axes.set_xlabel(label, loc="right")
    return figure_of(axes)


def predicted_against_actual(
    contract: Contract, actual: pd.Series, predictions: pd.DataFrame, says: str
) -> Figure:
    """Draw each prediction against the actual value."""
    figure = framed(6, 6, "How close are the predictions to the actual values?", says)
    axes = figure.subplots()
    _draw_errors(axes, "actual_vs_predicted", actual, predictions)
    axes.xaxis.set_major_locator(AutoLocator())  # round numbers
    axes.yaxis.set_major_locator(AutoLocator())
    unit = f" ({contract.unit})" if contract.unit else ""
    name = shortened(contract.target)
    axes.set(xlabel=f"Predicted {name}{unit}", ylabel=f"Actual {name}{unit}")
    frameless(axes)
    return figure


def residual_figure(
    contract: Contract, actual: pd.Series, predictions: pd.DataFrame, says: str
) -> Figure:
    """Draw the residuals (actual minus predicted) against the prediction and as histogram."""
    figure = framed(8, 5, "Where is the model wrong, and how far?", says)
    points, counts = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    _draw_errors(points, "residual_vs_predicted", actual, predictions)
    unit = f" ({contract.unit})" if contract.unit else ""
    name = shortened(contract.target)
    points.set(xlabel=f"Predicted {name}{unit}", ylabel=f"Residual: actual - predicted{unit}")
    residuals = np.asarray(actual, "float64") - predictions[PREDICTION].to_numpy("float64")
    counts.hist(residuals, bins=30, orientation="horizontal", color=BLUE)
    counts.axhline(0, **LINE)
    counts.set(xlabel="Number of rows")
    for axes in (points, counts):
        frameless(axes)
    return figure


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
