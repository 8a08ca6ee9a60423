"""Permutation importance: how much worse a model predicts if a column is shuffled.

scikit-learn's `permutation_importance` calls the model for each shuffled column by itself, and a
forest takes nearly as long for few rows as for many. Here one call gets many shuffled copies.
"""

from typing import Any

import numpy as np
import pandas as pd

from _utils.tabular.contract import Contract
from _utils.tabular.predictions import features_of, predict
from _utils.tabular.scores import loss, score

MOST_ROWS, REPEATS = 1000, 3
ROWS_AT_ONCE = 20_000


def importance_of(model: Any, contract: Contract, rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Measure how much each column matters to a model.

    Args:
        model: A fitted model, as `predict` takes it.
        contract: The contract of the table.
        rows: Cleaned rows with their labels, which the model has not seen.
        metric: The metric that gets worse.

    Returns:
        A row for each feature, the most important first: `column`, `importance` (mean increase of
        the metric's loss when its values are shuffled among the rows; columns that say the same
        share theirs) and `deviation` (standard deviation of that). No row if `metric` is undefined.
    """
    some = rows.sample(MOST_ROWS, random_state=42) if len(rows) > MOST_ROWS else rows
    actual, names = some[contract.target], features_of(model)
    value = score(metric, contract, actual, predict(model, some))
    usual = np.nan if value is None else loss(metric, value)
    at_once = max(1, ROWS_AT_ONCE // (REPEATS * max(1, len(some))))
    generator, increases = np.random.default_rng(42), []
    for first in range(0, 0 if value is None else len(names), at_once):
        columns = [name for name in names[first : first + at_once] for _ in range(REPEATS)]
        copies = [_shuffled(some[names], name, generator) for name in columns]
        predicted = predict(model, pd.concat(copies, ignore_index=True))
        for number, name in enumerate(columns):
            part = predicted[number * len(some) : (number + 1) * len(some)]
            shuffled = score(metric, contract, actual, part)
            increases.append({"column": name, "importance": loss(metric, shuffled) - usual})
    table = pd.DataFrame(increases, columns=["column", "importance"])
    groups = table.groupby("column", sort=False)["importance"]
    result = groups.agg(importance="mean", deviation="std").reset_index()
    return result.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _shuffled(rows: pd.DataFrame, name: str, generator: np.random.Generator) -> pd.DataFrame:
    order = generator.permutation(len(rows))
    return rows.assign(**{name: rows[name].take(order).set_axis(rows.index)})
