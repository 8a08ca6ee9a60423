"""What must hold of the cleaned data, or the pipeline stops."""

import pandas as pd
import pytest
from mlflow import MlflowClient

from _utils.artifacts import current_run_id
from _utils.example.checks import failure_cases, null_share, row_share, schema


def test_schema(data, limits):
    wanted = schema(
        min_comb_mpg=limits.min_comb_mpg,
        max_comb_mpg=limits.max_comb_mpg,
        max_engine_displacement=limits.max_engine_displacement,
    )
    refuse(failure_cases(data, wanted), "failure_cases.csv")


def test_number_of_rows(data, limits):
    if len(data) < limits.min_rows:
        pytest.fail(f"{len(data)} rows, wanted are {limits.min_rows} at least", pytrace=False)


def test_share_of_rows_left(data, reference, limits):
    share = row_share(data, reference)
    if share < limits.min_row_share:
        pytest.fail(f"{share:.1%} of the rows are left of the reference's", pytrace=False)


def test_share_of_nulls(data, limits):
    share = null_share(data).rename_axis("column").rename("null_share").reset_index()
    refuse(share[share["null_share"] > limits.max_null_share], "null_shares.csv")


def refuse(cases: pd.DataFrame, file: str) -> None:
    """Fail with a table of what is wrong, and leave the whole of it in the run."""
    if cases.empty:
        return
    # The client, for the fluent functions would end the run before pytest knows its outcome.
    MlflowClient().log_text(current_run_id(), cases.to_csv(index=False), file)
    head = cases.head(10).to_string(index=False)
    pytest.fail(f"{len(cases)} failure cases, all in {file} of this run:\n{head}", pytrace=False)
