"""A profile of a table: a line for each column, as HTML."""

import numpy as np
import pandas as pd

from _utils import pages
from _utils.tabular.contract import Contract
from _utils.tabular.terms import NUMBER

MOST_BARS, MOST_VALUES, MOST_LETTERS = 12, 3, 30
HEIGHT, BAR = 18, 6  # pixels
HEADS = {
    "column": "",
    "kind": "What the contract says it is",
    "used": "Whether it is a feature",
    "missing": "Share of nulls",
    "distinct": "Number of values that differ",
    "distribution": "Of numbers: how many lie in each twelfth of the range; else: how frequent the "
    "most frequent values are",
    "values": "Of numbers: the range and the median; else: the most frequent values",
}


def profile(frame: pd.DataFrame, contract: Contract) -> str:
    """What each column of the contract is, and what is in it, as an HTML table."""
    return pages.table(
        HEADS,
        (_row(frame[name], name, contract) for name in contract.columns if name in frame),
    )


def _row(values: pd.Series, name: str, contract: Contract) -> list[str]:
    missing, column = values.isna().mean() if len(values) else 0.0, contract.columns[name]
    role = "target" if name == contract.target else "yes" if name in contract.features else "no"
    numbers = pd.to_numeric(values, errors="coerce") if column.kind == NUMBER else pd.Series()
    numbers = numbers.astype("float64").replace([np.inf, -np.inf], np.nan).dropna()
    if len(numbers):
        counts = np.histogram(numbers, bins=MOST_BARS)[0]
        says = f"{numbers.min():.6g} to {numbers.max():.6g}, median {numbers.median():.6g}"
    else:
        frequent = values.value_counts()
        counts = frequent.head(MOST_BARS).to_numpy()
        says = ", ".join(
            f"{str(value)[:MOST_LETTERS]} ({count / len(values):.0%})"
            for value, count in frequent.head(MOST_VALUES).items()
        )
    cells = [name, column.kind, role]
    nulls = pages.bar(missing / 4, f"{missing:.1%}") if missing else ""
    last = [_line(nulls), f"{values.nunique():,}", _bars(counts), _line(pages.escape(says))]
    return [*map(pages.escape, cells), *last]


def _line(cell: str) -> str:
    """A cell that a notebook does not wrap, nor move to the right."""
    return f'<div style="text-align:left;white-space:nowrap">{cell}</div>'


def _bars(counts: np.ndarray) -> str:
    """Upright bars, as SVG, the highest as high as a line."""
    heights = HEIGHT * counts / max(1, counts.max(initial=0))
    inner = "".join(
        f'<rect x="{place * BAR}" y="{HEIGHT - height:.1f}" width="{BAR - 1}" '
        f'height="{height:.1f}" fill="var(--plain, #00588f)"/>'
        for place, height in enumerate(heights)
    )
    size = f'width="{BAR * MOST_BARS}" height="{HEIGHT}"'
    return f'<svg role="img" aria-label="distribution" {size}>{inner}</svg>'
