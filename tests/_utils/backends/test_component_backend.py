"""Where components run: faults told before, and what reaches MLflow."""

import shutil

import mlflow
import pytest
from conftest import ROOT
from mlflow.exceptions import MlflowException

from _utils.errors import UserError
from _utils.pipeline import execute
from _utils.pipeline.faults import in_backend
from _utils.pipeline.plan import Component

KUBERNETES = {
    "kube-context": "minikube",
    "kube-job-template-path": "k8s/job.yaml",
    "repository-uri": "registry/cars",
}


def component(backend: str, **config: str) -> Component:
    folder = ROOT / "src/train_random_forest"
    return Component(
        "train_random_forest", folder, {"x": "a 'b' \"c\"", "raw_url": "a.csv"}, "", backend, config
    )


@pytest.mark.parametrize(
    ("backend", "config", "told"),
    [
        ("cloud", {}, "backend 'cloud' is none: allowed are local, slurm, kubernetes, databricks."),
        ("slurm", {}, "backend slurm needs the command srun."),
        ("slurm", {}, "main.backend=slurm runs on machines that cannot reach the tracking store"),
        ("kubernetes", {}, "backend kubernetes needs the command docker."),
        ("kubernetes", {}, "pip install 'kubernetes<37'"),
        ("kubernetes", {}, "needs main.backend_config.kube-context; see"),
        ("kubernetes", {"kube-job-template-path": "no.yaml"}, f"no job template '{ROOT}/no.yaml'."),
        ("kubernetes", KUBERNETES, "raw_url: 'a.csv' is a file of this machine"),
        ("databricks", {}, "main.backend=databricks runs on machines that cannot reach"),
    ],
)
def test_what_keeps_it_from_working_is_told(scratch_store, monkeypatch, backend, config, told):
    monkeypatch.setattr(shutil, "which", lambda command: None)
    assert any(told in fault for fault in in_backend(component(backend, **config)))


def test_where_all_is_there_nothing_is_told(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://server:5000")
    monkeypatch.delenv("SERVED_STORE", raising=False)
    assert not [*in_backend(component("slurm", partition="debug"))]
    assert not [*in_backend(component("local"))]


# MLflow has a backend of the name `kubernetes`, and takes no other for it
@pytest.mark.parametrize(
    ("backend", "of_mlflow"), [("kubernetes", "kubernetes-job"), ("databricks", "databricks")]
)
def test_backend_config_and_parameters_reach_mlflow(scratch_store, monkeypatch, backend, of_mlflow):
    given = {}

    def run(uri, **arguments):
        given.update(arguments, uri=uri)
        raise MlflowException("seen")

    monkeypatch.setattr(mlflow, "run", run)
    wanted = component(backend, **KUBERNETES)
    with mlflow.start_run() as pipeline, pytest.raises(UserError, match="not be started: seen"):
        execute.run_component(wanted, pipeline, "local")
    assert given["uri"] == str(wanted.folder)
    assert given["backend"] == of_mlflow
    assert given["parameters"] == wanted.parameters
    # MLflow writes into what it is given
    assert given["backend_config"] == KUBERNETES
    assert given["backend_config"] is not wanted.backend_config
