"""Where components run: faults told before, what reaches MLflow, and how they end on a node."""

import os
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


@pytest.mark.skipif(os.name == "nt", reason="srun is never there")
@pytest.mark.parametrize(
    ("srun", "command", "exit_code"),
    [
        ('exec "${@:2}"', "true # done", 0),
        ('exec "${@:2}"', "exit 3", 3),
        ('"${@:2}"', "kill -9 $$", 137),
        ('"${@:2}"; echo "Node failure on n1"; exit 1', "true", 0),  # after the command has ended
        ('echo "srun: error: Node failure on n1"; exit 0', "true", 1),
        ('"${@:2}" & sleep 0.5; kill -9 $!; exit 0', "kill -9 $PPID; sleep 9", 1),
        ("exit 143", "true", 143),
    ],
)
def test_how_a_component_ends_on_a_node_is_what_its_own_process_says(
    scratch_store, tmp_path, monkeypatch, srun, command, exit_code
):
    folder = tmp_path / "src/trial"
    (tmp_path / "bin").mkdir()
    folder.mkdir(parents=True)
    (tmp_path / "bin/srun").write_text(f"#!/bin/bash\n{srun}\n")
    (tmp_path / "bin/srun").chmod(0o755)
    project = f"name: trial\nentry_points: {{main: {{command: '{command}'}}}}\n"
    (folder / "MLproject").write_text(project)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with mlflow.start_run() as pipeline:
        on_node = Component("trial", folder, {}, "", "slurm", {})
        result = execute.run_component(on_node, pipeline, "local")
    assert result.exit_code == exit_code
    assert result.status == ("FAILED" if exit_code else "FINISHED")
    assert not [*(tmp_path / "outputs").iterdir()]
