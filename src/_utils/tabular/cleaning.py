"""Clean a raw table as its contract says, so that later components can rely on types and values."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from _utils.errors import UserError
from _utils.tabular.columns import to_dates, to_labels, to_numbers, to_text
from _utils.tabular.contract import Column, Contract
from _utils.tabular.terms import CATEGORY, DATE, ID, NUMBER, TEXT

# Corrections that are special to one table: they return it with the cells of each rule they changed
Rules = Callable[[pd.DataFrame], tuple[pd.DataFrame, dict[str, pd.Series]]]
CONVERTERS = {NUMBER: to_numbers, CATEGORY: to_text, TEXT: to_text, ID: to_text}
PLAIN = {"i": "int64", "b": "bool"}  # of classes that are no texts
FINITE = float(np.finfo("float64").max)


def clean(
    raw: pd.DataFrame, contract: Contract, unknown_codes: list[str], rules: Rules | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Clean the raw table. Cleaning the result again changes nothing.

    Args:
        raw: One row per example, with at least the columns of the contract. It is not modified.
        contract: What each column is. Other columns stay as they are.
        unknown_codes: Texts and numbers (also inf) that mean "unknown"; such a cell becomes null.
        rules: Corrections that are special to this table.

    Returns:
        The distinct rows that have a target and lie within the limits (numbers float64, dates
        datetime64 without a time, all else `str`; a class may stay a whole number or a truth
        value), and the number of rows or cells that each rule changed, by the name of the rule.

    Raises:
        UserError: A column is missing, a cell cannot be read or is refused, or no row is left.
    """
    _check_columns(raw, contract)
    frame, unreadable, corrected = tidy(raw.reset_index(drop=True), contract, unknown_codes, rules)
    for kind, meaning in {DATE: "a date like 2012-05-06", NUMBER: "a number"}.items():
        for name in contract.of_kind(kind):
            if name in unreadable:
                written = contract.columns[name].format
                _refuse(name, unreadable[name], f"a date like {written}" if written else meaning)
    for name, column in contract.columns.items():
        if column.kind == NUMBER and column.outside == "refuse":
            cells = outside(frame[name], column)
            _refuse(name, raw.loc[cells.to_numpy(), name], limits(column))
    frame, dropped = _drop_rows(frame, contract)
    return frame, {"rows_in": len(raw), "rows_out": len(frame), **corrected, **dropped}


def tidy(
    raw: pd.DataFrame, contract: Contract, unknown_codes: list[str], rules: Rules | None = None
) -> tuple[pd.DataFrame, dict[str, pd.Series], dict[str, int]]:
    """Convert types and correct cells, without dropping a row or changing the index.

    Args:
        raw: One row per example. It is not modified. Columns of the contract may be missing.
        contract: What each column is.
        unknown_codes: Texts and numbers (also inf) that mean "unknown"; such a cell becomes null.
        rules: Corrections that are special to this table.

    Returns:
        The table with the types of `clean`, the cells that could not be converted (null in the
        table) by column, and the number of cells that each rule changed.
    """
    codes = [str(code) for code in unknown_codes]
    cells = {name: _is_unknown(column, codes) for name, column in raw.items()}
    unknown = pd.DataFrame({name: each for name, each in cells.items() if each.any()})
    masked = raw.assign(**{name: _nullable(raw[name]).mask(unknown[name]) for name in unknown})
    converted = {
        name: _convert(masked[name], name, contract) for name in masked if name in contract.columns
    }
    unreadable = {
        name: masked.loc[column.isna() & masked[name].notna(), name]
        for name, column in converted.items()
        if column.hasnans and contract.columns[name].kind in (NUMBER, DATE)
    }
    frame = masked.assign(**converted)
    changed = {"unknown_codes": unknown}
    if rules:
        frame, of_rules = rules(frame)
        changed |= of_rules
    nulled = {
        name: outside(frame[name], contract.columns[name])
        for name in converted
        if contract.columns[name].outside == "null"
    }
    frame = frame.assign(**{name: frame[name].mask(each) for name, each in nulled.items()})
    frame = frame.copy()  # pandas would warn of each column that is added to so many new ones
    changed["outside_nulled"] = pd.DataFrame(nulled)
    counts = {rule: int(cells.to_numpy().sum()) for rule, cells in changed.items()}
    return frame, {name: cells for name, cells in unreadable.items() if len(cells)}, counts


def outside(numbers: pd.Series, column: Column) -> pd.Series:
    """Which numbers are infinite, or not between `min` and `max` of the contract."""
    low = -FINITE if column.min is None else column.min
    high = FINITE if column.max is None else column.max
    return numbers.notna() & ~numbers.between(low, high)


def limits(column: Column) -> str:
    """What a number of this column has to be, in words."""
    if column.min is None and column.max is None:
        return "a finite number"
    if column.max is None:
        return f"at least {column.min:g} and finite"
    if column.min is None:
        return f"at most {column.max:g} and finite"
    return f"between {column.min:g} and {column.max:g}"


def _convert(cells: pd.Series, name: str, contract: Contract) -> pd.Series:
    column = contract.columns[name]
    if name == contract.target and contract.is_classification:
        return to_labels(cells)
    if column.kind == DATE:
        return to_dates(cells, column.format)
    return CONVERTERS[column.kind](cells)


def _check_columns(raw: pd.DataFrame, contract: Contract) -> None:
    missing = [column for column in contract.columns if column not in raw.columns]
    if missing:
        raise UserError(
            f"The raw data lack the columns {missing}; they have {list(raw.columns)}. Rename the "
            "columns in the source, or take them out of the contract (data.contract_url)."
        )


def _refuse(name: str, cells: pd.Series, meaning: str) -> None:
    if len(cells):
        raise UserError(
            f"'{cells.iloc[0]}' in column '{name}' is not {meaning} ({len(cells)} such cells). "
            "Correct the source, add the value to cleaning.unknown_codes in config.yaml to make "
            "it null, or change the column in the contract."
        )


def _is_unknown(column: pd.Series, codes: list[str]) -> pd.Series:
    if pd.api.types.is_float_dtype(column):
        return column.isin(pd.to_numeric(pd.Series(codes, dtype="str"), errors="coerce").dropna())
    whole = pd.api.types.is_integer_dtype(column)
    return (column.astype("str") if whole else column).isin(codes)


def _nullable(column: pd.Series) -> pd.Series:
    # Integer columns with nulls would become decimals
    return column.convert_dtypes() if pd.api.types.is_integer_dtype(column) else column


def _drop_rows(frame: pd.DataFrame, contract: Contract) -> tuple[pd.DataFrame, dict[str, int]]:
    """The distinct, plausible rows with a target, and the number of rows that each rule dropped."""
    kept = frame.drop_duplicates()
    dropped = {"duplicates": len(frame) - len(kept)}
    labelled = kept[kept[contract.target].notna()]
    dropped["without_target"] = len(kept) - len(labelled)
    kept, reasons = labelled, []
    for name, column in contract.columns.items():
        if column.kind == NUMBER and column.outside == "drop":
            implausible = outside(kept[name], column)
            if count := int(implausible.sum()):
                reasons.append(f"{count} have a {name} that is not {limits(column)}")
                kept = kept[~implausible]
    dropped["outliers"] = len(labelled) - len(kept)
    if kept.empty:
        first = f"{dropped['without_target']} have no {contract.target}"
        raise UserError(
            f"Cleaning leaves none of {len(frame)} rows: {', '.join([first, *reasons])}. Correct "
            "the source, or these limits in the contract."
        )
    labels = kept[contract.target]
    if contract.is_classification and (plain := PLAIN.get(labels.dtype.kind)):
        kept = kept.astype({contract.target: plain})  # a type that needs no nulls
    return kept.reset_index(drop=True), dropped
