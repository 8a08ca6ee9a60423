"""Drift: how much a batch differs from the data that its model was trained on, column by column.

The null hypothesis is that both samples come from one population. With many rows, differences that
do not matter are significant; with few rows, large differences may be chance. So each column gets
an effect size (PSI, or a share) and a p-value, and `judge` requires both for an alarm.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from _utils.errors import UserError
from _utils.tabular.terms import NUMBER, TEXT

MAX_BINS = 10  # deciles of the reference, as is usual for PSI
ROWS_PER_BIN = 10  # a small batch gets fewer bins
MIN_ROWS = 5  # cells with fewer expected rows are pooled: Cochran's rule for the chi-square test
WORD = r"\b\w\w+\b"  # the same as TfidfVectorizer's


def compare(reference: pd.DataFrame, batch: pd.DataFrame, kinds: dict[str, str]) -> pd.DataFrame:
    """Compare a batch with the reference.

    Args:
        reference: The data that the model was trained or tested on.
        batch: The new rows.
        kinds: The columns to compare, and the kind of each: NUMBER, CATEGORY or TEXT.

    Returns:
        One row per column: `column`, `kind`, `psi`, `test` with its `statistic` and `p_value`
        (not corrected for the number of columns), `missing_reference` and `missing` (shares of
        nulls), `unseen` (share of the values that the reference lacks; for texts, of the words)
        and `unseen_values` (the three most frequent). Measures that do not apply are NaN.

    Raises:
        UserError: The reference or the batch has no rows, or lacks a column.
    """
    for name, frame in {"reference": reference, "batch": batch}.items():
        if frame.empty:
            raise UserError(f"The {name} has 0 rows, so drift cannot be measured. Add rows.")
        if lacking := [column for column in kinds if column not in frame.columns]:
            raise UserError(
                f"The {name} lacks {lacking}; its columns are {list(frame.columns)}. Add or rename "
                "the columns."
            )
    return pd.DataFrame(
        [{"column": name} | _compare(reference[name], batch[name], kinds[name]) for name in kinds]
    )


def count_cells(reference: pd.Series, batch: pd.Series) -> pd.DataFrame:
    """Count the rows of both samples by value.

    Numbers with many values are counted by quantiles of the reference. Null is a value of its own.
    Values that are rare in both samples are pooled, so that each cell has the rows that the
    chi-square test requires.

    Args:
        reference: A column of the reference; at least one row.
        batch: The same column of the batch; at least one row.

    Returns:
        The numbers of rows, `reference` and `batch`, by value; the pooled values are "others".
    """
    smaller = min(len(reference), len(batch))
    label: Callable[[Any], str] = str
    if pd.api.types.is_numeric_dtype(reference) and reference.nunique() > MAX_BINS:
        reference, batch = (each.astype("float64") for each in (reference, batch))
        edges = _edges(reference, min(MAX_BINS, max(1, smaller // ROWS_PER_BIN)))
        label = _bin_names(edges).__getitem__
        reference, batch = (
            pd.Series(np.searchsorted(edges, each), dtype="object").where(each.notna().to_numpy())
            for each in (reference, batch)
        )
    both = pd.concat([reference.astype("object"), batch.astype("object")])
    codes, values = pd.factorize(both.where(both.notna(), None), sort=True, use_na_sentinel=False)
    samples = {"reference": codes[: len(reference)], "batch": codes[len(reference) :]}
    counts = pd.DataFrame(
        {name: np.bincount(each, minlength=len(values)) for name, each in samples.items()},
        index=["null" if value is None or value != value else label(value) for value in values],
    )
    return _pool_rare(counts, smaller)


def _edges(numbers: pd.Series, bins: int) -> np.ndarray:
    """The edges between bins that hold equally many of the numbers."""
    with np.errstate(over="ignore", invalid="ignore"):  # interpolating the largest floats overflows
        edges = numbers[np.isfinite(numbers)].quantile(np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(edges[np.isfinite(edges)])


def _bin_names(edges: np.ndarray) -> list[str]:
    names = [f"{edge:.4g}" for edge in edges]
    if len({*names}) < len(names):
        names = [repr(float(edge)) for edge in edges]
    return [f"({low}, {high}]" for low, high in pairwise(["-inf", *names, "inf"])]


def psi(counts: pd.DataFrame) -> float:
    """The population stability index of the counts from `count_cells`.

    It is the sum over the cells of (batch - reference) * ln(batch / reference), with both as shares
    of the rows. An empty cell counts as half a row, because the logarithm of 0 is infinite.
    """
    shares = counts.clip(lower=0.5) / counts.sum()
    difference = shares["batch"] - shares["reference"]
    return float((difference * np.log(shares["batch"] / shares["reference"])).sum())


def _compare(reference: pd.Series, batch: pd.Series, kind: str) -> dict:
    measures = {
        "kind": kind,
        "psi": np.nan,
        "test": "",
        "statistic": np.nan,
        "p_value": np.nan,
        "missing_reference": reference.isna().mean(),
        "missing": batch.isna().mean(),
        "unseen": np.nan,
        "unseen_values": "",
    }
    if kind != TEXT:
        counts = count_cells(reference, batch)
        measures |= {"psi": psi(counts)} | _test(reference, batch, counts, kind)
    if kind != NUMBER:
        measures |= _unseen(reference, batch, kind)
    return measures


def _test(reference: pd.Series, batch: pd.Series, counts: pd.DataFrame, kind: str) -> dict:
    """The Kolmogorov-Smirnov test for numbers, with nulls as the lowest values; else chi-square."""
    if kind == NUMBER:
        samples = (each.astype("float64").fillna(-np.inf) for each in (reference, batch))
        result, test = stats.ks_2samp(*samples), "KS"
    else:
        result, test = stats.chi2_contingency(counts, correction=False), "chi-square"
    statistic, p_value = float(result.statistic), float(result.pvalue)
    return {"test": test, "statistic": statistic, "p_value": p_value}


def _unseen(reference: pd.Series, batch: pd.Series, kind: str) -> dict:
    seen, new = (_words(each) if kind == TEXT else each.dropna() for each in (reference, batch))
    unseen = new[~new.isin(seen)]
    most_frequent = unseen.value_counts().head(3)
    values = ", ".join(f"{value} ({count})" for value, count in most_frequent.items())
    return {"unseen": len(unseen) / len(new) if len(new) else 0.0, "unseen_values": values}


def _words(texts: pd.Series) -> pd.Series:
    lower = texts.dropna().astype("str").str.lower()
    return lower.str.findall(WORD).explode().dropna()


def _pool_rare(counts: pd.DataFrame, smaller: int) -> pd.DataFrame:
    """Pool the rare cells into one, together with as many more cells as that one needs."""
    order = np.argsort(counts.sum(axis="columns").to_numpy(), kind="stable")
    ascending = counts.iloc[order]
    expected = ascending.sum(axis="columns") / counts.to_numpy().sum() * smaller
    pooled = int((expected < MIN_ROWS).sum())
    if not pooled:
        return counts
    while pooled < len(counts) and _expected(ascending.iloc[:pooled], counts, smaller) < MIN_ROWS:
        pooled += 1
    others = ascending.iloc[:pooled].sum().to_frame("others").T
    return pd.concat([counts.iloc[np.sort(order[pooled:])], others])


def _expected(cells: pd.DataFrame, counts: pd.DataFrame, smaller: int) -> float:
    """The rows of these cells in a sample of `smaller` rows, at the larger of their shares."""
    return (cells.sum() / counts.sum()).max() * smaller
