"""Find out what the target of an unknown table is: a number, or one of some classes."""

import difflib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from _utils.errors import UserError
from _utils.tabular.columns import to_numbers, to_text
from _utils.tabular.kinds import (
    NULL_WORDS,
    PLAINLY,
    Guess,
    as_numbers,
    guess_kind,
    is_signed,
    is_whole,
    printable,
)
from _utils.tabular.predictions import is_added
from _utils.tabular.terms import CATEGORY, CLASSIFICATION, DATE, NUMBER, REGRESSION

CLASSES = 20  # whole numbers are classes up to this many different ones
RARE = 5  # rows of a class that is hardly one
Label = str | int | bool


@dataclass(frozen=True)
class Target:
    """The column to predict."""

    name: str
    values: pd.Series  # without nulls: float64, or classes as text
    nulls: int  # rows without a value
    classes: dict[Label, int] = field(default_factory=dict)  # rows by class, the rarest first
    codes: tuple[str, ...] = ()  # cells that mean unknown
    has_infinity: bool = False

    @property
    def task(self) -> str:
        """What to train for it."""
        return CLASSIFICATION if self.classes else REGRESSION

    @property
    def positive(self) -> Label | None:
        """Of two classes, the rarer."""
        return next(iter(self.classes)) if len(self.classes) == 2 else None

    @property
    def guess(self) -> Guess:
        """The column among the others."""
        missing = f"; {self.nulls} rows without it are dropped" if self.nulls else ""
        if not self.classes:
            reason = f"the target: numbers, {self.values.nunique()} different{missing}"
            return Guess(NUMBER, reason, codes=self.codes, has_infinity=self.has_infinity)
        shares = [
            f"{printable(str(label))} {count / len(self.values):.1%}"
            for label, count in [*self.classes.items()][:CLASSES]
        ]
        rarest, rows = next(iter(self.classes.items()))
        if rows < RARE <= len(self.values) / 10:
            missing += f"; only {rows} of {printable(str(rarest))}, a typing error?"
        labels = [*map(str, self.classes)]
        if len({label.strip().casefold() for label in labels}) < len(labels):
            missing += "; some differ only in capitals or spaces: is that right?"
        for label in filter(NULL_WORDS.fullmatch, labels):
            missing += f"; does {label!r} mean unknown? Then add it to cleaning.unknown_codes"
        reason = f"the target: {len(self.classes)} classes, {' | '.join(shares)}{missing}"
        return Guess(CATEGORY, reason, codes=self.codes)


def read_target(table: pd.DataFrame, name: str) -> Target:
    """Find out whether the target is a number or a class.

    Raises:
        UserError: It is neither, or it is not there, or it is the same in all rows.
    """
    _check_name(table, name)
    column, target = table[name], f"The target '{name}'"
    found = as_numbers(column)
    numbers = to_numbers(found[0]).dropna() if found else None
    values = numbers[~np.isinf(numbers)] if found else to_text(column).dropna()
    if (count := values.nunique()) < 2:
        what = "has the same value in all rows" if count else "has no value in any row"
        raise UserError(f"{target} {what}: there is nothing to predict. Choose another column.")
    nulls, codes = len(column) - len(values), found[1] if found else ()
    few = count <= CLASSES and (count == 2 or count * 10 <= len(values))
    if found and not (few and is_whole(values)):
        return Target(name, values, nulls, {}, codes, has_infinity=len(values) < len(numbers))
    if not found and guess_kind(name, column).kind == DATE:
        raise UserError(
            f"{target} is a date, which cannot be predicted. Choose another column, for example "
            "a number of days."
        )
    if not found and count > CLASSES and count * 2 > len(values):
        cure = "Choose another column"
        cure += f", or write its numbers {PLAINLY}" if is_signed(values) else ""
        raise UserError(
            f"{target} has {count} different texts in {len(values)} rows, so it is neither a "
            f"number nor a class. {cure}."
        )
    labels = to_text(column[values.index])
    return Target(name, labels, nulls, _classes(labels, column), codes)


def _check_name(table: pd.DataFrame, name: str) -> None:
    if name not in table:
        plain = {each: each.strip().casefold() for each in table}
        like = difflib.get_close_matches(name.strip().casefold(), plain.values(), 3, 0.5)
        near = [each for each in table if plain[each] in like] or [*table][:30]
        shown = ", ".join(map(repr, near))  # a name may begin or end with a space
        cure = " If something else separates the fields, set data.csv.delimiter in config.yaml."
        raise UserError(
            f"The table has no column '{name}' to predict. Set target to one of {shown}."
            + cure * (len(plain) == 1)
        )
    if is_added(name):
        raise UserError(
            f"The target cannot be called '{name}': scoring adds a column of this name. Rename it."
        )


def _classes(labels: pd.Series, column: pd.Series) -> dict[Label, int]:
    """The rows of each class, the rarest first; of equally rare ones the last by name, as `yes`."""
    counts = labels.value_counts().sort_index(ascending=False).sort_values(kind="stable")
    types = {type(value) for value in column[labels.index[:1]]}
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return {int(label): int(count) for label, count in counts.items()}
    if types <= {bool, np.bool_}:
        return {label == "True": int(count) for label, count in counts.items()}
    return {str(label): int(count) for label, count in counts.items()}
