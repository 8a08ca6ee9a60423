"""Where components run: faults that need no backend, and what reaches MLflow."""

import mlflow
import pytest
from conftest import ROOT
from mlflow.exceptions import MlflowException

from _utils import capabilities
from _utils.errors import UserError
from _utils.pipeline import execute
from _utils.pipeline.component import Component
from _utils.pipeline.faults import in_backend
from _utils.pipeline.log import Log


def component(backend: str) -> Component:
    name = "train_random_forest"
    values, config = {"x": "a 'b' \"c\""}, {"cluster": "mine"}
    return Component(name, ROOT / "src" / name, values, "", backend, config)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("local", ""),
        ("cloud", "unknown backend 'cloud': choose from local, slurm, kubernetes, databricks."),
        ("databricks", "main.backend=databricks runs on machines that cannot reach"),
        ("slurm", "main.backend=slurm needs src/_utils/backends/slurm, which this project deleted"),
    ],
)
def test_faults(scratch_store, monkeypatch, backend, message):
    monkeypatch.setattr(capabilities, "has_capability", lambda name: False)
    faults = [*in_backend(component(backend))]
    assert message in "".join(faults) and len(faults) == bool(message)


# MLflow has a backend of the name `kubernetes`, and takes no other for it
@pytest.mark.parametrize(
    ("backend", "of_mlflow"), [("kubernetes", "kubernetes-job"), ("databricks", "databricks")]
)
def test_backend_config_and_parameters_reach_mlflow(scratch_store, monkeypatch, backend, of_mlflow):
    arguments = {}

    def run(uri, **others):
        arguments.update(others, uri=uri)
        raise MlflowException("seen")

    monkeypatch.setattr(mlflow, "run", run)
    wanted = component(backend)
    with mlflow.start_run() as pipeline, pytest.raises(UserError, match="not be started: seen"):
        execute.run_component(wanted, pipeline, "local", Log())
    assert arguments["uri"] == str(wanted.folder)
    assert arguments["backend"] == of_mlflow
    assert arguments["parameters"] == wanted.parameters
    # MLflow writes into what it is given
    assert arguments["backend_config"] == wanted.backend_config
    assert arguments["backend_config"] is not wanted.backend_config
