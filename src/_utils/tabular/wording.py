"""How scores are written for people, in messages and tags."""

from _utils.tabular.contract import Contract
from _utils.tabular.scores import DIRECTIONS, MINIMIZE, WITH_UNIT


def shown(metric: str) -> str:
    """The name of a metric: MAE, R2, ROC AUC."""
    return metric.upper().replace("_", " ")


def shown_loss(metric: str) -> str:
    """The name of the metric's loss: MAE, 1 - ROC AUC."""
    return shown(metric) if DIRECTIONS[metric] == MINIMIZE else f"1 - {shown(metric)}"


def number(value: float) -> str:
    """A number with three decimals, or three digits if it is very small or large."""
    return f"{value:.3f}" if not value or 0.01 <= abs(value) < 1e6 else f"{value:.3g}"


def with_unit(metric: str, value: float, contract: Contract) -> str:
    """A score with its name, and its unit if it has that of the target: `MAE 1.401 mpg`."""
    unit = f" {contract.unit}" if metric in WITH_UNIT and contract.unit else ""
    return f"{shown(metric)} {number(value)}{unit}"
