"""How far chance alone moves a score: the interval and the standard error of a metric.

The rows are drawn again and again, with replacement (the bootstrap), always with the same seed.
"""

import numpy as np
import pandas as pd

from _utils.tabular.contract import Contract
from _utils.tabular.scores import Outcome, measured, outcome_of

RESAMPLES, FEWER = 200, 50  # for the ends of an interval, and for a standard error
# A larger table is not drawn as a whole: what a smaller sample adds in spread is taken off again
MOST_CELLS = 20_000


def interval(
    metric: str,
    contract: Contract,
    actual: pd.Series,
    predictions: pd.DataFrame,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """The interval in which a metric lies with this probability, by percentiles.

    Returns:
        Its ends, around the score; None if the rows leave the metric undefined.
    """
    outcome = outcome_of(contract, actual, predictions)
    value, (drawn, shrink) = measured(metric, outcome), _redrawn(metric, outcome, RESAMPLES)
    if np.isnan(value) or not len(drawn):
        return None
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    if shrink < 1:
        ends = value + (ends - drawn.mean()) * shrink
    return float(min(ends[0], value)), float(max(ends[1], value))


def standard_error(
    metric: str, contract: Contract, actual: pd.Series, predictions: pd.DataFrame
) -> float:
    """The standard error of a metric; NaN for one row, or if the metric is undefined."""
    outcome = outcome_of(contract, actual, predictions)
    if len(outcome.actual) < 2:
        return np.nan
    if metric == "mae":  # a mean of rows: no need to draw
        return float(pd.Series(np.abs(outcome.predicted - outcome.actual)).sem())
    drawn, shrink = _redrawn(metric, outcome, FEWER)
    return float(drawn.std(ddof=1) * shrink) if len(drawn) > 1 else np.nan


def _redrawn(metric: str, outcome: Outcome, times: int) -> tuple[np.ndarray, float]:
    """The metric of each sample that defines it, and the factor for samples that are smaller."""
    rows, generator = len(outcome.actual), np.random.default_rng(42)
    columns = 1 if outcome.shares is None else outcome.shares.shape[1]
    size = min(rows, max(1_000, MOST_CELLS // columns))
    samples = (generator.integers(0, rows, size) for _ in range(times if rows else 0))
    values = np.array([measured(metric, outcome.take(sample)) for sample in samples])
    return values[~np.isnan(values)], float(np.sqrt(size / rows)) if rows else 1.0
