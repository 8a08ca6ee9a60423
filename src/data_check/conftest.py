"""Checks of the data as a component: its parameters are pytest's options, its data fixtures."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import pandas as pd
import pytest
from mlflow import MlflowClient

from _utils.artifacts import current_run_id, use_artifact
from _utils.component import installed_packages
from _utils.tabular.tables import read_table
from _utils.variables import resolved

OPTIONS = {
    "input_artifact": (str, "the cleaned data, as name:version"),
    "reference_artifact": (str, "the data it was made of, as name:version"),
    "min_comb_mpg": (float, "least combined miles per gallon"),
    "max_comb_mpg": (float, "most combined miles per gallon"),
    "max_engine_displacement": (float, "largest engine displacement, in litres"),
    "min_rows": (int, "least number of rows"),
    "min_row_share": (float, "least share of the reference's rows"),
    "max_null_share": (float, "largest share of nulls in a column"),
}

REPORTS: list[pytest.TestReport] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the component's parameters."""
    for name, (kind, meaning) in OPTIONS.items():
        parser.addoption(f"--{name}", type=as_passed(kind), required=True, help=meaning)


def as_passed(kind: type) -> Callable[[str], Any]:
    """What makes a value of the text of a parameter, which may take from the environment."""
    return lambda text: kind(resolved(text))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what became of each check."""
    if report.when == "call" or report.failed:
        REPORTS.append(report)


def pytest_sessionfinish() -> None:
    """Record the checks, and the installed packages, as every component does."""
    client, run_id = MlflowClient(), current_run_id()
    client.log_text(run_id, installed_packages(), "requirements.txt")
    lines = [f"{report.outcome}: {report.nodeid}\n{report.longreprtext}" for report in REPORTS]
    client.log_text(run_id, "\n".join(lines), "checks.txt")
    client.log_metric(run_id, "checks", len(REPORTS))
    client.log_metric(run_id, "checks_failed", sum(report.failed for report in REPORTS))


@pytest.fixture(scope="session")
def data(request: pytest.FixtureRequest) -> pd.DataFrame:
    """The cleaned data."""
    return read_table(use_artifact(request.config.option.input_artifact))


@pytest.fixture(scope="session")
def reference(request: pytest.FixtureRequest) -> pd.DataFrame:
    """The data it was made of."""
    return read_table(use_artifact(request.config.option.reference_artifact))


@pytest.fixture(scope="session")
def limits(request: pytest.FixtureRequest) -> object:
    """The component's parameters, as attributes."""
    return request.config.option
