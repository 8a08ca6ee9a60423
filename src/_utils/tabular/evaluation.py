"""All that evaluation measures of a model, on rows that it has not seen."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from _utils.tabular.comparisons import baseline, scores_by
from _utils.tabular.contract import Contract
from _utils.tabular.drawing import as_png
from _utils.tabular.figures import figures_of, importance_figure
from _utils.tabular.importance import importance_of
from _utils.tabular.intervals import interval
from _utils.tabular.names import plain_names
from _utils.tabular.predictions import predict
from _utils.tabular.scores import scores
from _utils.tabular.wording import shown_loss

MOST_BARS = 30


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and the figures of it."""

    contract: Contract
    metric: str  # the main one
    scores: dict[str, float]
    metrics: dict[str, float]  # scores, the interval of the main one, scores of the baseline
    importance: pd.DataFrame  # the result of `importance_of`; empty if the metric is undefined
    groups: pd.DataFrame  # the result of `scores_by`, or empty
    pictures: dict[str, bytes]  # PNG, by name

    @property
    def files(self) -> dict[str, bytes]:
        """Tables and pictures, by file name."""
        tables = {"feature_importance": self.importance}
        if len(self.groups):
            column = self.groups.columns[0]
            tables[f"scores_by_{plain_names([column])[column]}"] = self.groups
        csv = {
            f"{name}.csv": table.to_csv(index=False).encode()
            for name, table in tables.items()
            if len(table)
        }
        return csv | {f"{name}.png": png for name, png in self.pictures.items()}


def evaluate(
    model: Any, contract: Contract, trained_on: pd.Series, test: pd.DataFrame, metric: str, by: str
) -> Evaluation:
    """Measure a model.

    Args:
        model: A fitted model, as `predict` takes it.
        contract: The contract of the table.
        trained_on: The labels of the training data, which the baseline is made from.
        test: Rows that the model has not seen, with their labels.
        metric: The main metric.
        by: Column whose values get scores each; empty for none.

    Raises:
        UserError: There is no such column.
    """
    predictions = predict(model, test)
    of_rows = (contract, test[contract.target], predictions)
    measured, usual = scores(*of_rows), baseline(contract, trained_on, test.index)
    metrics = dict(measured)
    if ends := interval(metric, *of_rows):
        metrics |= {f"{metric}_low": ends[0], f"{metric}_high": ends[1]}
    for name, value in scores(contract, test[contract.target], usual).items():
        metrics[f"baseline_{name}"] = value
    groups = scores_by(contract, test, *of_rows[1:], by=by) if by else pd.DataFrame()
    figures = figures_of(*of_rows, measured)
    importance = importance_of(model, contract, test, metric)
    if len(importance):
        bars = importance.set_index("column")["importance"].head(MOST_BARS)
        label = f"Increase of {shown_loss(metric)} when the column is shuffled"
        figures["feature_importance"] = importance_figure(bars, label)
    pictures = {name: as_png(figure) for name, figure in figures.items()}
    return Evaluation(contract, metric, measured, metrics, importance, groups, pictures)
