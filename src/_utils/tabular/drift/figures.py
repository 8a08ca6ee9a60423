"""Figures about drift, drawn without pyplot, like those of a model."""

import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from _utils.tabular.drift.measures import count_cells
from _utils.tabular.figures import LINE, frameless

MOST_CELLS = 15


def psi_figure(psi: pd.Series, max_psi: float) -> Figure:
    """Draw the PSI of the columns as bars, the largest on top, with the limit.

    Args:
        psi: Population stability index by column.
        max_psi: The limit.
    """
    psi = psi.sort_values(kind="stable")
    figure = Figure(figsize=(7, 1.2 + 0.3 * len(psi)), layout="constrained")
    axes = figure.subplots()
    colors = ["tab:red" if value > max_psi else "tab:blue" for value in psi]
    bars = axes.barh(psi.index, psi, color=colors)
    axes.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=9)
    axes.axvline(max_psi, **LINE)
    axes.margins(x=0.12)
    axes.set(title="How far each column has drifted", xlabel=f"PSI (dashed: limit {max_psi})")
    frameless(axes)
    return figure


def shares_figure(reference: pd.Series, batch: pd.Series) -> Figure:
    """Draw how frequent each value is in the reference and in the batch.

    Args:
        reference: A column of the reference.
        batch: The same column of the batch.
    """
    counts = count_cells(reference, batch)
    shares = counts / counts.sum()
    most_different = (shares["batch"] - shares["reference"]).abs().nlargest(MOST_CELLS).index
    shares = shares[shares.index.isin(most_different)][::-1]
    figure = Figure(figsize=(7, 1.4 + 0.4 * len(shares)), layout="constrained")
    axes = figure.subplots()
    places = pd.Series(range(len(shares)))
    axes.barh(places + 0.2, shares["reference"], height=0.4, color="0.7", label="reference")
    axes.barh(places - 0.2, shares["batch"], height=0.4, color="tab:blue", label="new")
    axes.set_yticks(places, shares.index)
    left_out = len(counts) - len(shares)
    note = f" ({left_out} values that changed less are not shown)" if left_out else ""
    axes.set(title=batch.name, xlabel=f"Share of the rows{note}")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.legend(frameon=False)
    frameless(axes)
    return figure


def history_figure(history: pd.DataFrame) -> Figure:
    """Draw metrics over time, one panel per metric.

    Args:
        history: One row per batch, one column per metric, with the time as index.
    """
    figure = Figure(figsize=(7, 0.6 + 1.2 * history.shape[1]), layout="constrained")
    panels = figure.subplots(history.shape[1], sharex=True)
    for axes, (name, values) in zip(panels, history.items(), strict=True):
        axes.plot(history.index, values, marker="o", markersize=4, color="tab:blue")
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        frameless(axes)
    locator = AutoDateLocator(minticks=2, maxticks=8)
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    panels[-1].set_xlabel("Time (UTC)")
    return figure
