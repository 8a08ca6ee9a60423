"""How scores are written for people, in messages and tags."""

from _utils.tabular.contract import Contract
from _utils.tabular.scores import DIRECTIONS, MINIMIZE, WITH_UNIT

NAMES = {"f1_macro": "F1 macro", "median_ae": "median AE", "brier": "Brier score"}
WORDS = ("accuracy", "balanced_accuracy", "average_precision", "log_loss", "bias")


def shown(metric: str) -> str:
    """The name of a metric: MAE, R2, ROC AUC, log loss."""
    words = metric.replace("_", " ")
    return NAMES.get(metric, words if metric in WORDS else words.upper())


def shown_loss(metric: str) -> str:
    """The name of the metric's loss: MAE, 1 - ROC AUC."""
    return shown(metric) if DIRECTIONS[metric] == MINIMIZE else f"1 - {shown(metric)}"


def number(value: float) -> str:
    """A number with three decimals; a small one with three digits, a large one as 12,345.6."""
    if 1000 <= abs(value) < 1e15:
        return f"{value:,.1f}"
    return f"{value:.3f}" if not value or 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def unit_of(metric: str, contract: Contract) -> str:
    """The unit of a metric: that of the target, or none."""
    return contract.unit if metric in WITH_UNIT else ""


def with_unit(metric: str, value: float, contract: Contract) -> str:
    """A score with its name, and its unit if it has that of the target: `MAE 1.401 mpg`."""
    return f"{shown(metric)} {number(value)} {unit_of(metric, contract)}".rstrip()
