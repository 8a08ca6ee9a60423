"""Publishing and reading in the chosen store, as components do."""

from contextlib import contextmanager

import mlflow
import pytest
from mlflow import MlflowClient

from _utils.artifacts import log_artifact, use_artifact
from _utils.artifacts.stores import component_run


@contextmanager
def component(status="FINISHED", **options):
    """The runs that a component works in, in MLflow and in the store."""
    with mlflow.start_run(**options) as run, component_run(run.info.run_id):
        yield run
    if status != "FINISHED":
        MlflowClient().set_terminated(run.info.run_id, status)


@pytest.fixture
def publish(scratch_store, tmp_path):
    """Publishes a text."""

    def publish(name, text, status="FINISHED", type="text", **options):
        (tmp_path / name).write_text(text)
        with component(status, **options):
            return log_artifact(tmp_path / name, type=type, description="a text")

    return publish


def read(reference):
    """The text of an artifact, used by a run."""
    with component():
        return use_artifact(reference).read_text()
