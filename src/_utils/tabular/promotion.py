"""Promotion: decide whether a new model replaces the champion."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from _utils.errors import UserError
from _utils.tabular.contract import Contract
from _utils.tabular.scores import DIRECTIONS, MINIMIZE, check_metric, loss
from _utils.tabular.wording import number, shown, shown_loss, with_unit

LIMITS_LIKE = "Write limits as {mae: {max: 2.5}, r2: {min: 0.6}}, or {} for none."
UNDEFINED = "it may need probabilities, or rows of two classes. Use another metric, or more rows"


def unseen_rows(test: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test set that a model was not trained on.

    When data are added, the split changes: a test row of the new model may have been a training row
    of the old model, which has then seen the label.

    Args:
        test: Rows to compare models on.
        train: Rows that a model was trained on. Columns that only one of the two has are ignored.

    Returns:
        The unseen rows of `test`, with their index.
    """
    columns = [column for column in test.columns if column in train.columns]
    kinds = {column: _common_type(test[column], train[column]) for column in columns}
    new, seen = (
        pd.util.hash_pandas_object(frame[columns].astype(kinds), index=False)
        for frame in (test, train)
    )
    return test[~new.isin(seen).to_numpy()]


def _common_type(*columns: pd.Series) -> Any:
    """A type for both columns, which differ in type if, for example, only one has nulls."""
    types = {column.dtype for column in columns}
    if len(types) == 1:
        return types.pop()
    if not all(map(pd.api.types.is_numeric_dtype, columns)):
        return "str"
    return pd.concat([column.head(0) for column in columns]).dtype  # whole numbers stay exact


@dataclass(frozen=True)
class Terms:
    """What a model must do to become the champion, as config.yaml has it under `deployment`."""

    metric: str  # the one that models are compared by
    direction: str  # minimize or maximize
    min_improvement: float  # the share by which the loss must be lower than the champion's
    limits: dict[str, dict[str, float]]  # of any metric, its `min` or `max`

    def check(self, contract: Contract) -> None:
        """Refuse terms that do not fit the task.

        Raises:
            UserError: A metric, a direction or a limit is unknown.
        """
        check_metric(self.metric, contract)
        if self.direction != (right := DIRECTIONS[self.metric]):
            raise UserError(
                f"deployment.direction is '{self.direction}', but of {self.metric} the better "
                f"value is the {'lower' if right == MINIMIZE else 'higher'} one. Set it to "
                f"{right}."
            )
        if not isinstance(self.limits, dict):
            raise UserError(f"deployment.limits is '{self.limits}'. {LIMITS_LIKE}")
        for name, ends in self.limits.items():
            check_metric(name, contract, "deployment.limits")
            if not isinstance(ends, dict) or not {*ends} <= {"min", "max"}:
                raise UserError(f"deployment.limits.{name} is '{ends}'. {LIMITS_LIKE}")
            for end, value in ends.items():
                if isinstance(value, bool) or not isinstance(value, int | float | None):
                    raise UserError(
                        f"deployment.limits.{name}.{end} is '{value}', not a number. {LIMITS_LIKE}"
                    )


def decide_promotion(
    contract: Contract,
    terms: Terms,
    scores: dict[str, float],
    rivals: dict[str, float | None] | None,
) -> tuple[bool, str]:
    """Decide whether a model becomes the champion.

    Args:
        contract: The contract of the table.
        terms: What is required.
        scores: The model's scores on the whole test set.
        rivals: The metric of `champion` and `challenger` (the model) on the rows that neither has
            seen, None if those rows leave it undefined; empty if there are no such rows. None
            without a champion.

    Returns:
        Whether the model becomes the champion, and the reason.
    """
    for name in (terms.metric, *terms.limits):
        if name not in scores:
            return False, f"{shown(name)} is undefined on the test data; {UNDEFINED}"
    texts = {name: with_unit(name, value, contract) for name, value in scores.items()}
    for name, ends in terms.limits.items():
        if (most := ends.get("max")) is not None and scores[name] > most:
            return False, f"{texts[name]} is above the limit of {most}"
        if (least := ends.get("min")) is not None and scores[name] < least:
            return False, f"{texts[name]} is below the limit of {least}"
    if rivals is None:
        reached = ", ".join(texts[name] for name in dict.fromkeys((terms.metric, *terms.limits)))
        return True, f"{reached}, within limits (no champion yet)"
    if not rivals:
        return False, "the champion was trained on all test rows, so the two cannot be compared"
    if None in rivals.values():
        name = shown(terms.metric)
        return False, f"{name} is undefined on the rows that neither has seen; {UNDEFINED}"
    return _compared(contract, terms, rivals)


def _compared(
    contract: Contract, terms: Terms, rivals: dict[str, float | None]
) -> tuple[bool, str]:
    champion, challenger = (rivals[name] for name in ("champion", "challenger"))
    old, new = (loss(terms.metric, value) for value in (champion, challenger))
    improvement = 1 - new / old if old else -np.inf if new else 0.0
    change = f"{abs(improvement):.1%} {'higher' if improvement < 0 else 'lower'}"
    comparison = f"{with_unit(terms.metric, challenger, contract)} on unseen rows"
    if terms.direction == MINIMIZE:
        comparison += f" is {change} than the champion's {number(champion)}"
    else:
        comparison += f" against the champion's {number(champion)}"
        comparison += f", so {shown_loss(terms.metric)} is {change}"
    if improvement < terms.min_improvement:
        return False, f"{comparison}; at least {terms.min_improvement:.1%} lower is required"
    return True, comparison
