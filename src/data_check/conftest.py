"""Checks of the data as a component: its parameters are pytest's options, its data fixtures."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import pandas as pd
import pytest
from mlflow import MlflowClient

from _utils.artifacts import current_run_id, use_artifact
from _utils.component import declared_options, installed_packages
from _utils.tabular.contract import Contract, read_contract
from _utils.tabular.tables import read_table

REPORTS: list[pytest.TestReport] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let pytest have the parameters of the MLproject as its options."""
    for name, options in declared_options(Path(__file__).parent).items():
        parser.addoption(f"--{name}", **options)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the outcome of each check."""
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
    """The raw data that was cleaned."""
    return read_table(use_artifact(request.config.option.reference_artifact))


@pytest.fixture(scope="session")
def contract(request: pytest.FixtureRequest) -> Contract:
    """What each column is."""
    return read_contract(use_artifact(request.config.option.contract))


@pytest.fixture(scope="session")
def limits(request: pytest.FixtureRequest) -> object:
    """The component's parameters, as attributes."""
    return request.config.option
