"""The performance of a model on new rows with a label, relative to that on the test data."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from _utils.tabular.contract import Contract
from _utils.tabular.intervals import standard_error
from _utils.tabular.scores import DIRECTIONS, MAXIMIZE, as_text, loss, score

MIN_ROWS = 10  # of each of two classes, or of numbers: fewer do not tell a metric's error


@dataclass(frozen=True)
class OnTest:
    """The main metric on the test data, its standard error, and the number of rows."""

    score: float
    error: float
    rows: int

    def loss(self, metric: str) -> tuple[float, float]:
        """The loss and its standard error; a perfect score of few rows may be one of nearly 1."""
        least = 1 / (self.rows + 1) if DIRECTIONS[metric] == MAXIMIZE else 0.0
        value = loss(metric, self.score)
        return (value, self.error) if value > least else (least, max(self.error, least))


def performance(
    metric: str,
    contract: Contract,
    actual: pd.Series,
    predictions: pd.DataFrame,
    on_test: OnTest,
    significance: float,
) -> dict[str, float]:
    """Measure a metric on rows with a label.

    Args:
        metric: The main metric.
        contract: The contract of the model.
        actual: The true values, null where there is no label.
        predictions: The predictions, as `predict` has them, in the same order.
        on_test: The metric on the test data.
        significance: Probability that `loss_ratio_low` is too high by chance.

    Returns:
        `labelled_rows`; and if the metric is defined for them, the metric, its standard error
        (`<metric>_error`), `loss_ratio`, which is its loss relative to that on the test data, and
        `loss_ratio_low`, what that ratio is at least. The last two are NaN if they are unknown.
    """
    labelled = actual.notna().to_numpy()
    actual, predictions = actual[labelled], predictions[labelled]
    value = score(metric, contract, actual, predictions)
    if value is None:
        return {"labelled_rows": len(actual)}
    error = standard_error(metric, contract, actual, predictions)
    (usual, its_error), now, low = on_test.loss(metric), loss(metric, value), np.nan
    if usual and _are_enough(metric, contract, actual):
        quantile = stats.t.ppf(1 - significance, len(actual) - 1)
        low = _lowest_ratio(now, quantile * error, usual, quantile * its_error)
    return {
        "labelled_rows": len(actual),
        metric: value,
        f"{metric}_error": error,
        "loss_ratio": now / usual if usual else np.nan,
        "loss_ratio_low": low,
    }


def _lowest_ratio(now: float, margin: float, usual: float, its_margin: float) -> float:
    """The lower end of Fieller's interval of now / usual, both of which are known to a margin."""
    if now <= margin:
        return 0.0
    surely = now**2 - margin**2
    root = np.sqrt((now * usual) ** 2 - (usual**2 - its_margin**2) * surely)
    return float(surely / (now * usual + root))


def _are_enough(metric: str, contract: Contract, actual: pd.Series) -> bool:
    """Whether so many rows tell anything."""
    if not contract.is_classification:
        return len(actual) >= (2 if metric == "mae" else MIN_ROWS)
    counts = np.sort(np.unique(as_text(actual).astype("str"), return_counts=True)[1])
    return len(counts) > 1 and counts[-2] >= MIN_ROWS
