"""Checks of the cleaned data. If one fails, the pipeline stops."""

import pandas as pd
import pytest
from mlflow import MlflowClient

from _utils.artifacts import current_run_id
from _utils.example import find_rules
from _utils.tabular.checks import failure_cases, null_share, row_share


def test_schema(data, contract, limits):
    violations = getattr(find_rules(limits.rules), "violations", None)
    refuse(failure_cases(data, contract, violations), "failure_cases.csv")


def test_number_of_rows(data, limits):
    if len(data) < limits.min_rows:
        pytest.fail(f"{len(data)} rows; at least {limits.min_rows} are required", pytrace=False)


def test_share_of_rows_left(data, reference, contract, limits):
    share = row_share(data, reference, contract, limits.unknown_codes or [])
    if share < limits.min_row_share:
        required = f"at least {limits.min_row_share:.1%} are required"
        pytest.fail(f"{share:.1%} of the raw rows are left; {required}", pytrace=False)


def test_share_of_nulls(data, contract, limits):
    share = (
        null_share(data[[*contract.features]])
        .rename_axis("column")
        .rename("null_share")
        .reset_index()
    )
    refuse(share[share["null_share"] > limits.max_null_share], "null_shares.csv")


def refuse(cases: pd.DataFrame, file: str) -> None:
    """Fail with the first wrong values, and log all of them to the run."""
    if cases.empty:
        return
    # The client, because the fluent functions would end the run before pytest knows its outcome.
    MlflowClient().log_text(current_run_id(), cases.to_csv(index=False), file)
    head = cases.head(10).to_string(index=False)
    pytest.fail(f"{len(cases)} wrong values, all in {file} of this run:\n{head}", pytrace=False)
