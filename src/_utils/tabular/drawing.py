"""What figures share: frame, colours, and the file that they become.

Margins are in inches: to let matplotlib find them takes as long as to draw the figure.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# A dollar sign in a column's name or a value does not start a formula
mpl.rcParams["text.parse_math"] = False

# Colours of Okabe and Ito, which most colour-blind people tell apart
BLUE, RED = "#0072B2", "#D55E00"
COLORS = [BLUE, "#E69F00", "#009E73", RED, "#CC79A7", "#56B4E9", "#000000"]
LINE: dict[str, Any] = {"color": "0.3", "linewidth": 1, "linestyle": "--"}
DPI = 150
LETTER, MOST_LETTERS = 0.085, 36  # inches of width; of a label


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    return png.getvalue()


def framed(
    width: float, height: float, question: str, says: str = "", left: float = 1, bottom: float = 0.7
) -> Figure:
    """A figure with room for axes.

    Args:
        width: Of the figure, in inches, as all of these.
        height: Of the figure.
        question: What it answers; stands above it.
        says: Scores, below the question.
        left: The margin for the labels of the y-axis.
        bottom: The margin for the labels of the x-axis.
    """
    figure = Figure(figsize=(width, height))
    top = 0.75 if says else 0.5
    figure.subplots_adjust(left / width, bottom / height, 1 - 0.2 / width, 1 - top / height)
    figure.text(0.15 / width, 1 - 0.3 / height, question, fontsize=12)
    if says:
        figure.text(0.15 / width, 1 - 0.57 / height, says, fontsize=10, color="0.3")
    return figure


def bar_axes(labels: Sequence[str], question: str, bar: float = 0.3) -> Axes:
    """Axes for horizontal bars with these labels, from the top.

    Args:
        labels: Of the bars.
        question: What the figure answers.
        bar: The height of a bar with the space around it, in inches.
    """
    names = [shortened(label) for label in labels]
    left = 0.25 + LETTER * max(map(len, names), default=0)
    axes = framed(7, 1.2 + bar * len(names), question, left=left).subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    frameless(axes)
    return axes


def shortened(label: str) -> str:
    """A label that leaves room for the figure."""
    return label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"


def frameless(axes: Axes) -> None:
    """Hide the lines above and to the right of the axes."""
    axes.spines[["top", "right"]].set_visible(False)


def figure_of(axes: Axes) -> Figure:
    """The figure that axes belong to."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure
