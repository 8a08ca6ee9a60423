"""Figures about drift, drawn without pyplot, like those of a model."""

import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from _utils.tabular.drawing import (
    BLUE,
    LINE,
    RED,
    bar_axes,
    figure_of,
    framed,
    frameless,
    shortened,
)
from _utils.tabular.drift.measures import count_cells

MOST_CELLS = 15


def psi_figure(psi: pd.Series, max_psi: float) -> Figure:
    """Draw the PSI of the columns as bars, the largest on top, with the limit.

    Args:
        psi: Population stability index by column.
        max_psi: The limit.
    """
    psi = psi.sort_values(ascending=False, kind="stable")
    axes = bar_axes([*psi.index], "How far has each column drifted?")
    colors = [RED if value > max_psi else BLUE for value in psi]
    bars = axes.barh(range(len(psi)), psi, color=colors)
    axes.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=9)
    axes.axvline(max_psi, **LINE)
    axes.margins(x=0.12)
    axes.set(xlabel=f"PSI (dashed: limit {max_psi})")
    return figure_of(axes)


def shares_figure(reference: pd.Series, batch: pd.Series) -> Figure:
    """Draw how frequent each value is in the reference and in the batch.

    Args:
        reference: A column of the reference.
        batch: The same column of the batch.
    """
    counts = count_cells(reference, batch)
    shares = counts / counts.sum()
    most_different = (shares["batch"] - shares["reference"]).abs().nlargest(MOST_CELLS).index
    shares = shares[shares.index.isin(most_different)]
    question = f"How are the values of {shortened(str(batch.name))} distributed?"
    axes = bar_axes([*map(str, shares.index)], question, bar=0.4)
    for shift, name, color in ((-0.2, "reference", "0.7"), (0.2, "batch", BLUE)):
        label = "new" if name == "batch" else "training data"
        places = [place + shift for place in range(len(shares))]
        axes.barh(places, shares[name], height=0.4, color=color, label=label)
    left_out = len(counts) - len(shares)
    note = f" ({left_out} values that changed less are not shown)" if left_out else ""
    axes.set_xlabel(f"Share of the rows{note}", loc="right")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.legend(frameon=False)
    return figure_of(axes)


def history_figure(history: pd.DataFrame) -> Figure:
    """Draw metrics over time, one panel per metric.

    Args:
        history: One row per batch, one column per metric, with the time as index.
    """
    question = "How have the metrics changed from batch to batch?"
    says = f"Batches: {len(history)}"
    figure = framed(7, 1.7 + 1.2 * history.shape[1], question, says, left=0.8)
    figure.subplots_adjust(hspace=0.5, top=1 - 1 / figure.get_figheight())
    panels = figure.subplots(history.shape[1], sharex=True)
    for axes, (name, values) in zip(panels, history.items(), strict=True):
        axes.plot(history.index, values, marker="o", markersize=4, color=BLUE)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        frameless(axes)
    locator = AutoDateLocator(minticks=2, maxticks=8)
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    panels[-1].set_xlabel("Time (UTC)")
    return figure
