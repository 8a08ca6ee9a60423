"""What a run.py works in, seen from a process of its own, as MLflow starts it."""

import subprocess
import sys

import mlflow
import pytest
from conftest import ROOT, Store

from _utils.component import plain_names

SCRIPT = """
import argparse, sys
sys.path.append({src!r})
from _utils.artifacts import log_artifact
from _utils.component import launch, scratch_folder
from _utils.errors import UserError

def go(args):
    target = scratch_folder() / "result.txt"
    target.write_text("abc")
    print(target, flush=True)
    log_artifact(target, type="text")
    {body}

parser = argparse.ArgumentParser()
parser.add_argument("--x", type={kind})
launch(go, parser)
"""


@pytest.fixture
def component(scratch_store, tmp_path):
    """Runs a component with this last line; returns the ended process and its run."""
    store = Store(scratch_store)

    def component(body, kind="str"):
        script = tmp_path / "run.py"
        script.write_text(SCRIPT.format(src=str(ROOT / "src"), body=body, kind=kind))
        experiment = mlflow.set_experiment("component")
        run = store.client.create_run(experiment.experiment_id)
        variables = {
            "MLFLOW_TRACKING_URI": scratch_store,
            "MLFLOW_RUN_ID": run.info.run_id,
            "MLFLOW_EXPERIMENT_ID": experiment.experiment_id,
            "PATH": "",
            "PW": "s3cret",
        }
        ran = subprocess.run(
            [sys.executable, str(script), "--x=a ${oc.env:PW}"],
            env=variables,
            capture_output=True,
            text=True,
        )
        return ran, store.client.get_run(run.info.run_id), store

    return component


def test_success(component, tmp_path):
    ran, run, store = component("pass")
    assert (ran.returncode, run.info.status) == (0, "FINISHED"), ran.stderr
    assert "output.result.txt" in run.data.tags
    assert f"mlflow=={mlflow.__version__}" in store.text(run, "requirements.txt", tmp_path)
    assert not (tmp_path / ran.stdout.strip()).exists()  # the scratch folder is gone


def test_a_fault_of_the_user_is_told_without_traceback(component, tmp_path):
    ran, run, store = component("raise UserError('x is wrong: mend it')")
    assert (ran.returncode, run.info.status) == (1, "FAILED")
    assert ran.stderr.strip().splitlines()[-1] == "x is wrong: mend it"
    assert "Traceback" not in ran.stderr
    assert "UserError: x is wrong" in store.text(run, "traceback.txt", tmp_path)


def test_any_other_fault_is_told_with_it(component, tmp_path):
    ran, run, store = component("assert args.x == 'a s3cret'; raise ValueError(args.x)")
    assert (ran.returncode, run.info.status) == (1, "FAILED")
    assert "Traceback" in ran.stderr and "ValueError: a ${oc.env:PW}" in ran.stderr
    assert "s3cret" not in ran.stderr + store.text(run, "traceback.txt", tmp_path)


def test_a_wrong_value_from_the_environment_is_not_told(component):
    ran, run, _ = component("pass", kind="int")
    assert (ran.returncode, run.info.status) == (1, "FAILED")
    assert "argument --x: invalid int value: 'a ${oc.env:PW}'" in ran.stderr


def test_any_column_has_a_name_that_mlflow_takes(scratch_store):
    columns = ["displacement (l)", "displacement [l]", "km/h", "..", "a:b", "50 %", "é", "x" * 300]
    names = plain_names(columns)
    assert list(names) == columns and len({*names.values()}) == len(columns)
    mlflow.set_experiment("names")
    with mlflow.start_run() as run:
        mlflow.log_metrics({f"psi.{name}": 1 for name in names.values()})
    assert len(mlflow.get_run(run.info.run_id).data.metrics) == len(columns)
    assert not set('/\\:*?"<>|') & set("".join(names.values()))
