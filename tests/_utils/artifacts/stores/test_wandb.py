"""Weights & Biases: the real client against a double of the service."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import mlflow
import pytest
from conftest import ROOT
from mlflow import MlflowClient
from packaging.requirements import Requirement

from _utils.artifacts import log_artifact, use_artifact
from _utils.artifacts.stores import component_run, wandb_store

pytestmark = pytest.mark.slow

RANGE = next(
    Requirement(line.strip(" -"))
    for line in (ROOT / "environment.yml").read_text().splitlines()
    if line.strip().startswith("- wandb")
)
BOUNDS = {specifier.operator: specifier.version for specifier in RANGE.specifier}


@pytest.fixture(autouse=True)
def service(wandb_server, scratch_store, monkeypatch):
    """The double, and this process set to use it."""
    variables = {"ARTIFACT_STORE": "wandb", "WANDB_PROJECT": "project", "WANDB_RUN_GROUP": "group"}
    for name, value in {**wandb_server.variables, **variables}.items():
        monkeypatch.setenv(name, value)
    mlflow.set_experiment("wandb")
    return wandb_server


def shell(*words, **variables):
    """What an executable calls, in a process and a run of its own; returns the run's id too."""
    run_id = MlflowClient().create_run("0").info.run_id
    mine = {"MLFLOW_RUN_ID": run_id, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    command = [sys.executable, ROOT / "src/_utils/component/shell.py", *words]
    environment = {**os.environ, **mine, **variables}
    return run_id, subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_run_has_what_the_mlflow_run_has(service, tmp_path):
    (tmp_path / "made.txt").write_text("made")
    with mlflow.start_run(run_name="first") as producer, component_run(producer.info.run_id):
        made = log_artifact(tmp_path / "made.txt", type="text", description="what was made")
    with mlflow.start_run(run_name="second") as run, component_run(run.info.run_id):
        mlflow.log_params({"limit": "70", "codes": '["??"]'})
        for step, loss in enumerate([0.5, 0.25]):
            mlflow.log_metric("loss", loss, step=step)
        mlflow.log_metric("rows", 3)
        use_artifact("made.txt:latest")
    there = service.runs[run.info.run_id]
    assert (there["project"], there["group"], there["name"]) == ("project", "group", "second")
    assert there["state"] == "finished"
    assert there["config"]["limit"] == {"value": "70"}
    assert [(row["_step"], row["loss"]) for row in there["history"]] == [(0, 0.5), (1, 0.25)]
    assert there["summary"]["rows"] == 3
    # From each to the other
    url = mlflow.get_run(run.info.run_id).data.tags["wandb.url"]
    assert url == f"{service.url}/team/project/runs/{run.info.run_id}"
    assert f"/runs/{run.info.run_id}" in there["notes"]
    version = service.named("made.txt", made.version)
    assert version["run"] == producer.info.run_id and there["used"] == [version["id"]]
    assert (version["type"], version["description"]) == ("text", "what was made")


def test_a_component_that_logs_by_itself(service):
    import wandb

    with mlflow.start_run() as run, component_run(run.info.run_id):
        wandb.log({"loss": 0.5}, step=7)
        mlflow.log_metric("rows", 3)
    there = service.runs[run.info.run_id]
    assert [(row["_step"], row["loss"]) for row in there["history"]] == [(7, 0.5)]
    assert there["summary"]["rows"] == 3


def test_a_run_that_several_processes_work_for(service, tmp_path):
    """As an executable does: it publishes, and main.py does the rest."""
    (tmp_path / "several.txt").write_text("several")
    run_id, ran = shell("log", tmp_path / "several.txt", "--type", "text")
    assert ran.returncode == 0, ran.stderr
    MlflowClient().log_metric(run_id, "rows", 3)
    with component_run(run_id):
        pass
    there = service.runs[run_id]
    assert there["summary"]["rows"] == 3 and there["state"] == "finished"


def test_a_component_that_fails(service):
    run = mlflow.start_run()
    with pytest.raises(ZeroDivisionError), component_run(run.info.run_id):
        mlflow.log_metric("before", 1)
        raise ZeroDivisionError
    mlflow.end_run("FAILED")
    assert service.runs[run.info.run_id]["state"] == "failed"
    assert service.runs[run.info.run_id]["summary"]["before"] == 1


@pytest.mark.parametrize(("status", "state"), [("FINISHED", "finished"), ("KILLED", "failed")])
def test_a_component_that_is_not_python_is_recorded_afterwards(service, status, state):
    run = MlflowClient().create_run("0", tags={"mlflow.source.name": "/project/src/data_check"})
    MlflowClient().set_terminated(run.info.run_id, status)
    with component_run(run.info.run_id):
        pass
    there = service.runs[run.info.run_id]
    assert (there["state"], there["job_type"]) == (state, "data_check")


def test_an_artifact_is_not_gone_if_the_server_is(tmp_path):
    (tmp_path / "far.txt").write_text("far")
    with mlflow.start_run():
        artifact = log_artifact(tmp_path / "far.txt", type="text")
    _, ran = shell("use", artifact.reference, WANDB_BASE_URL="http://127.0.0.1:1")
    assert ran.returncode == 1
    assert "http://127.0.0.1:1" in ran.stderr and "is gone" not in ran.stderr


WRONG = [
    ({"WANDB_MODE": "offline"}, "mode offline hands no"),
    ({"WANDB_MODE": "disabled"}, "mode disabled hands no"),
    ({"WANDB_API_KEY": ""}, "`wandb login`, or set WANDB_API_KEY"),
    ({"WANDB_API_KEY": "0" * 40}, "Check the key"),
    ({"WANDB_BASE_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
]
# Each in a process of its own, for W&B reads its settings once
FAULTS = """
import json, os, sys
from _utils.artifacts.stores import wandb_store
for variables in json.loads(sys.argv[1]):
    if not os.fork():
        os.environ |= variables
        print(*map(" ".join, map(str.split, wandb_store.faults())), flush=True)
        os._exit(0)
    os.wait()
"""


class TestFaults:
    def test_none(self):
        assert wandb_store.faults() == []

    def test_each_is_told_with_its_cure(self, service, tmp_path):
        ran = subprocess.run(
            [sys.executable, "-c", FAULTS, json.dumps([variables for variables, _ in WRONG])],
            cwd=ROOT / "src",
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        for told, (_, fault) in zip(ran.stdout.splitlines(), WRONG, strict=True):
            assert fault in told and "main.artifact_store=mlflow" in told, ran.stderr
        assert service.key not in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr

    def test_a_key_in_netrc(self, service, tmp_path, monkeypatch):
        host = service.url.removeprefix("http://")
        (tmp_path / "netrc").write_text(f"machine {host} login user password {service.key}")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.delenv("WANDB_API_KEY")
        assert wandb_store.faults() == []

    def test_the_package_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "wandb", None)
        (fault,) = wandb_store.faults()
        assert "the package wandb" in fault


def test_the_installed_version_is_the_highest_of_the_pinned_range():
    """All other tests are run with it."""
    assert RANGE.specifier.contains(version("wandb"))
    _, minor, _ = version("wandb").split(".")
    assert BOUNDS["<"] == f"0.{int(minor) + 1}"


@pytest.mark.nightly
def test_the_contract_holds_with_the_lowest_version_of_the_pinned_range(tmp_path):
    uv = [sys.executable, "-m", "uv", "pip"]
    frozen = subprocess.run([*uv, "freeze"], capture_output=True, text=True, check=True).stdout
    others = [line for line in frozen.splitlines() if not line.startswith(("wandb", "-e"))]
    (tmp_path / "others.txt").write_text("\n".join(others))
    packages, constraints = tmp_path / "packages", ["--constraint", tmp_path / "others.txt"]
    install = [*uv, "install", "--quiet", "--compile-bytecode", "--target", packages, *constraints]
    subprocess.run([*install, f"wandb=={BOUNDS['>=']}"], check=True)
    here = ROOT / "tests/_utils/artifacts/stores"
    tests = [here / "test_contract.py", f"{here}/test_wandb.py::TestFaults"]
    # One of each thing that the client does: the rest is the same for all stores
    tests += ["-k", "wandb and (folder or tampered or gone or netrc or cure)"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "--show-capture=no", *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(packages), "ARTIFACT_STORE": "mlflow"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


@pytest.mark.skipif("REAL_WANDB_API_KEY" not in os.environ, reason="needs a key of a real account")
def test_the_real_service(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.setenv("WANDB_API_KEY", os.environ["REAL_WANDB_API_KEY"])
    assert wandb_store.faults() == []
    (tmp_path / "real.txt").write_text("real")
    with mlflow.start_run() as run, component_run(run.info.run_id):
        artifact = log_artifact(tmp_path / "real.txt", type="text")
    with mlflow.start_run() as run, component_run(run.info.run_id):
        assert use_artifact(artifact.reference).read_text() == "real"
