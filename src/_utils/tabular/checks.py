"""Checks of the cleaned data: schema, number of rows compared with the raw data, nulls."""

from collections.abc import Callable

import pandas as pd
import pandera.pandas as pa

from _utils.tabular.cleaning import tidy
from _utils.tabular.columns import to_text
from _utils.tabular.contract import Column, Contract
from _utils.tabular.terms import DATE, NUMBER

# The rows that break a rule of one table, by the rule
Violations = Callable[[pd.DataFrame], dict[str, pd.Series]]


def schema(contract: Contract) -> pa.DataFrameSchema:
    """Describe the cleaned data of a contract: columns, types, codes, and limits."""
    columns = {
        name: pa.Column(_type(name, contract), _checks(column), nullable=_nullable(name, contract))
        for name, column in contract.columns.items()
    }
    return pa.DataFrameSchema(columns, checks=[pa.Check(_rows_are_unique, error="duplicate rows")])


def _type(name: str, contract: Contract) -> type | str | None:
    if name == contract.target and contract.is_classification:
        return None  # text, whole numbers, or truth values
    types: dict[str, type | str] = {NUMBER: float, DATE: "datetime64[us]"}
    return types.get(contract.columns[name].kind, str)


def _nullable(name: str, contract: Contract) -> bool:
    return contract.columns[name].nullable and name != contract.target


def _checks(column: Column) -> list[pa.Check]:
    checks = []
    if column.min is not None:
        checks.append(pa.Check.ge(column.min))
    if column.max is not None:
        checks.append(pa.Check.le(column.max))
    if column.values is not None:
        codes = [*to_text(pd.Series(column.values, dtype="object"))]
        is_known = pa.Check(lambda cells: to_text(cells).isin(codes), error=f"isin({codes})")
        checks.append(is_known)
    return checks


def failure_cases(
    frame: pd.DataFrame, contract: Contract, violations: Violations | None = None
) -> pd.DataFrame:
    """List everything that violates the contract, and the rules that are special to this table.

    Returns:
        One row per violation, with the columns `column`, `check`, `failure_case` (the wrong value)
        and `index` (its row); an empty table if there are none.
    """
    cases = pd.DataFrame(columns=["column", "check", "failure_case", "index"])
    try:
        schema(contract).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases[cases.columns]
    if violations and {*contract.columns} <= {*frame}:
        for rule, cells in violations(frame).items():
            broken = pd.DataFrame({"check": rule, "index": frame.index[cells]})
            cases = pd.concat([cases, broken], ignore_index=True) if len(broken) else cases
    return cases


def row_share(
    frame: pd.DataFrame, reference: pd.DataFrame, contract: Contract, unknown_codes: list[str]
) -> float:
    """The number of rows as a share of the distinct rows with a target in the reference.

    Duplicates in the reference do not count: new data may repeat rows that were there before.

    Returns:
        The share; 0 if the reference has no such row.
    """
    once = tidy(reference, contract, unknown_codes)[0].drop_duplicates()
    once = once[once[contract.target].notna()]
    return len(frame) / len(once) if len(once) else 0.0


def null_share(frame: pd.DataFrame) -> pd.Series:
    """The share of nulls in each column, from 0 to 1, in descending order."""
    return frame.isna().mean().sort_values(ascending=False, kind="stable")


def _rows_are_unique(frame: pd.DataFrame) -> bool:
    return not frame.duplicated().any()
