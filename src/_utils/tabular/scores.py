"""Scores of predictions, with the metrics of scikit-learn, for regression and classification.

Classes are compared as text, so the int 1 and the text "1" are the same class.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sklearn
from sklearn import metrics

from _utils.errors import UserError
from _utils.tabular.columns import to_text
from _utils.tabular.contract import Contract
from _utils.tabular.predictions import PREDICTION, PROBABILITY, classes_in
from _utils.tabular.terms import CLASSIFICATION, REGRESSION

MINIMIZE, MAXIMIZE = "minimize", "maximize"
# The metric that models are compared by, unless config.yaml names another
MAIN = {REGRESSION: "mae", CLASSIFICATION: "roc_auc"}
WITH_UNIT = ("mae", "rmse", "median_ae", "bias")  # metrics in the unit of the target


@dataclass(frozen=True)
class Outcome:
    """What happened and what was predicted, row by row, as arrays."""

    actual: np.ndarray  # numbers, or for classes their places among all classes
    predicted: np.ndarray
    shares: np.ndarray | None = None  # the probability of each class, in columns
    positive: int | None = None  # the place of the positive class, if there are two classes

    def take(self, rows: np.ndarray) -> "Outcome":
        """These rows, given by number."""
        shares = None if self.shares is None else self.shares[rows]
        return Outcome(self.actual[rows], self.predicted[rows], shares, self.positive)


def _one_versus_rest(measure: Callable) -> Callable[[Outcome], float]:
    """A metric of two classes; for more classes, its mean over those that occur."""

    def mean(outcome: Outcome) -> float:
        occurring = np.unique(outcome.actual)
        if outcome.shares is None or len(occurring) < 2:
            return np.nan
        if (one := outcome.positive) is not None:
            return measure(outcome.actual == one, outcome.shares[:, one])
        return measure(outcome.actual[:, None] == occurring, outcome.shares[:, occurring])

    return mean


def _of_shares(measure: Callable) -> Callable[[Outcome], float]:
    """A metric of the probabilities of all classes."""

    def of_all(outcome: Outcome) -> float:
        if outcome.shares is None or outcome.shares.shape[1] < 2:
            return np.nan
        labels = np.arange(outcome.shares.shape[1])
        return measure(outcome.actual, outcome.shares, labels=labels)

    return of_all


def _of_values(measure: Callable, **options: object) -> Callable[[Outcome], float]:
    return lambda outcome: measure(outcome.actual, outcome.predicted, **options)


# Of each task the metrics by name, each with its direction
MEASURES: dict[str, dict[str, tuple[str, Callable[[Outcome], float]]]] = {
    REGRESSION: {
        "mae": (MINIMIZE, _of_values(metrics.mean_absolute_error)),
        "rmse": (MINIMIZE, _of_values(metrics.root_mean_squared_error)),
        "r2": (MAXIMIZE, _of_values(metrics.r2_score)),
        "median_ae": (MINIMIZE, _of_values(metrics.median_absolute_error)),
    },
    CLASSIFICATION: {
        "balanced_accuracy": (MAXIMIZE, _of_values(metrics.balanced_accuracy_score)),
        "f1_macro": (MAXIMIZE, _of_values(metrics.f1_score, average="macro", zero_division=0)),
        "roc_auc": (MAXIMIZE, _one_versus_rest(metrics.roc_auc_score)),
        "average_precision": (MAXIMIZE, _one_versus_rest(metrics.average_precision_score)),
        "log_loss": (MINIMIZE, _of_shares(metrics.log_loss)),
        "brier": (MINIMIZE, _of_shares(metrics.brier_score_loss)),
    },
}
DIRECTIONS: dict[str, str] = {
    name: direction for each in MEASURES.values() for name, (direction, _) in each.items()
}


def scores(contract: Contract, actual: pd.Series, predictions: pd.DataFrame) -> dict[str, float]:
    """Score all predictions with the metrics of the task.

    Args:
        contract: The contract of the table; it says what the task is.
        actual: The true values, without nulls.
        predictions: The result of `predict` for the same rows, in the same order.

    Returns:
        Regression: `mae`, `rmse` and `median_ae` in the unit of the target, and `r2` (1 is perfect,
        0 no better than predicting the mean). Classification: `balanced_accuracy`, `f1_macro`, and
        with probabilities `roc_auc`, `average_precision`, `log_loss` and `brier`; with more than
        two classes the first two of these are the mean over the classes that occur in `actual`.
        Metrics that these rows leave undefined are missing.
    """
    outcome = outcome_of(contract, actual, predictions)
    values = {name: measured(name, outcome) for name in MEASURES[contract.task]}
    return {name: value for name, value in values.items() if not np.isnan(value)}


def score(
    metric: str, contract: Contract, actual: pd.Series, predictions: pd.DataFrame
) -> float | None:
    """As `scores`, one metric; None if these rows leave it undefined."""
    value = measured(metric, outcome_of(contract, actual, predictions))
    return None if np.isnan(value) else value


def loss(metric: str, value: float) -> float:
    """A score as a loss, of which less is better: of a metric to maximize, what it lacks to 1."""
    return value if DIRECTIONS[metric] == MINIMIZE else 1 - value


def check_metric(metric: str, contract: Contract, key: str = "deployment.metric") -> str:
    """The metric, if it is one of the task's.

    Raises:
        UserError: It is not; the message names the key in config.yaml.
    """
    if metric not in MEASURES[contract.task]:
        raise UserError(
            f"{key}: '{metric}' is not a metric of a {contract.task}. Use one of "
            f"{', '.join(MEASURES[contract.task])}."
        )
    return metric


def positive_class(contract: Contract, classes: Iterable[str]) -> str | None:
    """Of two classes the one to find: the contract's `positive`, or else the last in order.

    Returns:
        The class as text; None if there are not two classes.
    """
    ordered = in_order(classes)
    if len(ordered) != 2:
        return None
    named = as_text([contract.positive])[0] if contract.positive is not None else None
    return named if named in ordered else ordered[1]


def in_order(classes: Iterable[str]) -> list[str]:
    """The distinct classes, numbers by their value, other texts after them."""

    def key(name: str) -> tuple[float, str]:
        number = pd.to_numeric(name, errors="coerce")
        return (np.inf if pd.isna(number) else float(number)), name

    return sorted({*classes}, key=key)


def as_text(values: Iterable[object]) -> np.ndarray:
    """Classes as text, as an array of objects."""
    return to_text(pd.Series(values)).astype("object").to_numpy()


def outcome_of(contract: Contract, actual: pd.Series, predictions: pd.DataFrame) -> Outcome:
    """The arrays that the metrics need."""
    if not contract.is_classification:
        predicted = np.asarray(predictions[PREDICTION], "float64")
        return Outcome(np.asarray(actual, "float64"), predicted)
    labels, predicted = as_text(actual), as_text(predictions[PREDICTION])
    known = as_text(classes_in(predictions))
    # A model knows its classes, whatever occurs among these rows
    classes = in_order(pd.unique(np.concatenate([known, labels, predicted])))
    place = pd.Index(classes, dtype="object").get_indexer
    shares = None
    if len(known):
        shares = np.zeros((len(predictions), len(classes)))
        columns = [name for name in predictions if name.startswith(PROBABILITY)]
        shares[:, place(known)] = predictions[columns]
    positive = positive_class(contract, classes)
    number = None if positive is None else classes.index(positive)
    return Outcome(place(labels), place(predicted), shares, number)


def measured(metric: str, outcome: Outcome) -> float:
    """The value of a metric, NaN if it is undefined for these rows."""
    measure = next(each[metric][1] for each in MEASURES.values() if metric in each)
    if not len(outcome.actual):
        return np.nan
    with warnings.catch_warnings(), sklearn.config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # of classes that occur only here or only there
        return float(measure(outcome))
