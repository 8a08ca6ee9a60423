"""Write the contract of an unknown table: what each column seems to be, and why."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from _utils.errors import UserError
from _utils.tabular.columns import to_dates, to_numbers, to_text
from _utils.tabular.contract import parse_contract
from _utils.tabular.contract_text import as_yaml
from _utils.tabular.kinds import Guess, guess_kind
from _utils.tabular.leaks import find_leaks
from _utils.tabular.predictions import is_added
from _utils.tabular.tables import open_table, to_frame
from _utils.tabular.targets import Target, read_target
from _utils.tabular.terms import DATE, NUMBER

MIN_ROWS, MAX_NULLS = 100, 0.85  # what data_check requires, if config.yaml is as it was
ROOM = 0.9  # how much less than today is still usual
ADDED = "scoring adds a column of this name: rename it to use it"
ROWS = 50_000  # enough for every guess; a file may have many times as many


@dataclass(frozen=True)
class Inferred:
    """What was found out about a table."""

    contract: str  # the text of the YAML file
    task: str
    unknown_codes: list[str]  # cells that have to become null, in all columns
    guesses: pd.DataFrame  # column, kind, use, reason
    null_share: float  # of the feature that has the most nulls
    kept: int  # distinct rows with a target, which cleaning keeps

    def settings(self, rows: int) -> dict[str, Any]:
        """The values that config.yaml needs for this table, by key.

        Args:
            rows: How many rows cleaning will keep.
        """
        found: dict[str, Any] = {"cleaning.unknown_codes": self.unknown_codes}
        if rows < MIN_ROWS / ROOM:
            found["checks.min_rows"] = int(rows * ROOM)
        if self.null_share > MAX_NULLS * ROOM:
            found["checks.max_null_share"] = min(1.0, round(self.null_share / ROOM, 2))
        return found


def read_sample(path: Path, rows: int = ROWS) -> tuple[pd.DataFrame, int]:
    """Read about this many rows of a Parquet file, chosen by chance; the same each time.

    Returns:
        The rows, and how many the file has.
    """
    with open_table(path) as file:
        total, schema = file.metadata.num_rows, file.schema_arrow
        share, generator = rows / max(total, 1), np.random.default_rng(0)
        batches = [
            batch if total <= rows else batch.filter(pa.array(generator.random(len(batch)) < share))
            for batch in file.iter_batches()
        ]
        return to_frame(pa.Table.from_batches(batches, schema), path.name), total


def infer_contract(table: pd.DataFrame, target: str, rows: int | None = None) -> Inferred:
    """Guess what each column of a table is, and write a contract with the reasons.

    Args:
        table: The rows as `read_table` reads them, or a sample of them.
        target: The name of the column to predict.
        rows: How many rows there are; None if `table` has all.

    Raises:
        UserError: The target is unknown or cannot be predicted, or no column is left to predict it.
    """
    aim = read_target(table, target)
    guesses = {name: guess_kind(name, table[name]) for name in table if name != target}
    codes = [*dict.fromkeys([*aim.codes, *(code for g in guesses.values() for code in g.codes)])]
    tidy = _without(table, codes)
    for name, guess in guesses.items():
        if guess.kind not in (NUMBER, DATE) and tidy[name] is not table[name]:
            guesses[name] = guess_kind(name, tidy[name])
    leaks = _leaks(tidy, guesses, aim)
    unused = leaks | dict.fromkeys(filter(is_added, guesses), ADDED)
    guesses |= {name: replace(guesses[name], use=False, reason=unused[name]) for name in unused}
    if not any(each.is_feature for each in guesses.values()):
        told = "; ".join(f"{name}: {each.reason}" for name, each in [*guesses.items()][:20])
        told = told or "there is no other"
        raise UserError(f"No column is left to predict '{target}' from ({told}). Add columns.")
    kept = pd.DataFrame(tidy).loc[aim.values.index].drop_duplicates()
    guesses = {name: guesses.get(name) or aim.guess for name in table}
    text = as_yaml(aim, guesses, len(table), rows or len(table))
    parse_contract(text, "The inferred contract")
    lines = [
        (name, each.kind, "target" if name == target else str(each.is_feature).lower(), each.reason)
        for name, each in guesses.items()
    ]
    frame = pd.DataFrame(lines, columns=["column", "kind", "use", "reason"])
    shares = [tidy[name].isna().mean() for name, each in guesses.items() if each.is_feature]
    return Inferred(text, aim.task, codes, frame, float(max(shares)), len(kept))


def _without(table: pd.DataFrame, codes: list[str]) -> dict[str, pd.Series]:
    """The columns with these texts as nulls: a code means unknown in all columns."""
    columns = dict(table.items())
    for name, column in columns.items():
        if codes and column.dtype in ("str", "object") and (cells := column.isin(codes)).any():
            columns[name] = column.mask(cells)
    return columns


def _leaks(tidy: dict[str, pd.Series], guesses: dict[str, Guess], aim: Target) -> dict[str, str]:
    """The features that reveal the target, with the reason."""
    features = {}
    for name, guess in guesses.items():
        if guess.is_feature:
            rows = tidy[name].loc[aim.values.index]
            if guess.kind == DATE:
                features[name] = to_dates(rows, guess.format)
            else:
                features[name] = to_numbers(rows) if guess.kind == NUMBER else to_text(rows)
    return find_leaks(pd.DataFrame(features), aim.values, bool(aim.classes))
