"""Figures about a trained model.

They are drawn without pyplot, which would keep every figure in memory and needs a display.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# A dollar sign in a column's name or a value does not start a formula
mpl.rcParams["text.parse_math"] = False

POINTS: dict[str, Any] = {"s": 18, "alpha": 0.5, "color": "tab:blue", "edgecolors": "none"}
LINE: dict[str, Any] = {"color": "0.3", "linewidth": 1, "linestyle": "--"}


def importance_figure(importance: pd.Series) -> Figure:
    """Draw the importance of the columns as bars.

    Args:
        importance: Share of each column, from 0 to 1, in descending order.
    """
    height = 1.2 + 0.3 * len(importance)
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(importance.index, importance, color="tab:blue")
    axes.bar_label(bars, fmt="{:.1%}", padding=3, fontsize=9)
    axes.invert_yaxis()  # the largest on top
    axes.margins(x=0.12)
    axes.set(title="Feature importance", xlabel="Feature importance (share of the total)")
    axes.xaxis.set_major_formatter("{x:.0%}")
    frameless(axes)
    return figure


def predicted_against_actual(actual: pd.Series, predicted: pd.Series) -> Figure:
    """Draw each prediction against the actual value, both in miles per US gallon."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(actual, predicted, **POINTS)
    low, high = np.min([actual, predicted]), np.max([actual, predicted])
    axes.plot([low, high], [low, high], label="perfect prediction", **LINE)
    axes.set(title="Predicted against actual", xlabel="Actual (mpg)", ylabel="Predicted (mpg)")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(frameon=False)
    frameless(axes)
    return figure


def residual_figure(actual: pd.Series, predicted: pd.Series) -> Figure:
    """Draw the errors (predicted minus actual, in mpg) against the prediction and as histogram."""
    errors = np.asarray(predicted) - np.asarray(actual)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    points, counts = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    points.scatter(predicted, errors, **POINTS)
    points.set(xlabel="Predicted (mpg)", ylabel="Predicted minus actual (mpg)")
    counts.hist(errors, bins=30, orientation="horizontal", color="tab:blue")
    counts.set(xlabel="Number of cars")
    for axes in (points, counts):
        axes.axhline(0, **LINE)
        frameless(axes)
    figure.suptitle("Errors of the model")
    return figure


def frameless(axes: Axes) -> None:
    """Hide the lines above and to the right of the axes."""
    axes.spines[["top", "right"]].set_visible(False)
