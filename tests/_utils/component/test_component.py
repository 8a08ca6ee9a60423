"""What a run.py runs in, as MLflow starts it but in this process."""

import os
import runpy
import sys
import tempfile
from types import SimpleNamespace

import mlflow
import pytest
from conftest import ROOT, Store

from _utils.component import declared_options, declared_parser

SCRIPT = """
import argparse
from _utils.artifacts import log_artifact
from _utils.component import launch, scratch_folder
from _utils.errors import UserError

def go(args):
    target = scratch_folder() / "result.txt"
    target.write_text("abc")
    print(target, flush=True)
    log_artifact(target, type="text")
    {body}

{launch}
"""
MLPROJECT = """
entry_points:
  main:
    parameters:
      x: string
      n: {type: int, default: 3}
      limits: {type: json, default: ""}
    command: python run.py --x={x} --n={n} --limits={limits}
"""
# As the scaffold made it before an MLproject had types
EARLIER = """
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--x", type=int, required=True, help="say what it is")
launch(go, parser)
"""


@pytest.fixture
def component(scratch_store, tmp_path, capfd):
    """Runs a component with this last line of `go`; returns how it ended, and its run."""
    store = Store(scratch_store)

    def component(body, *arguments, launch="launch(go)"):
        script = tmp_path / "run.py"
        script.write_text(SCRIPT.format(body=body, launch=launch))
        (tmp_path / "MLproject").write_text(MLPROJECT)
        experiment = mlflow.set_experiment("component")
        run = store.client.create_run(experiment.experiment_id)
        variables = {"MLFLOW_RUN_ID": run.info.run_id, "PW": "s3cret"}
        scratch = tempfile.TemporaryDirectory()
        capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "environ", {**os.environ, **variables})
            patch.setattr(os, "_exit", sys.exit)
            patch.setattr(tempfile, "tempdir", None)
            patch.setattr(sys.modules[declared_parser.__module__], "_scratch", scratch)
            patch.setattr(sys, "argv", [str(script), "--x=a ${oc.env:PW}", *arguments])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(script), run_name="__main__")
        written = capfd.readouterr()
        ran = SimpleNamespace(returncode=ended.value.code, stdout=written.out, stderr=written.err)
        return ran, store.client.get_run(run.info.run_id), store

    return component


def test_success(component, tmp_path):
    body = "assert (args.x, args.n, args.limits) == ('a s3cret', 3, {'a': 1}), args"
    ran, run, store = component(body, '--limits={"a": 1}')
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
    ran, run, store = component("assert args.limits is None; raise ValueError(args.x)")
    assert (ran.returncode, run.info.status) == (1, "FAILED")
    assert "Traceback" in ran.stderr and "ValueError: a ${oc.env:PW}" in ran.stderr
    assert "s3cret" not in ran.stderr + store.text(run, "traceback.txt", tmp_path)


def test_a_wrong_value_is_one_line_without_secrets(component, tmp_path):
    ran, run, store = component("pass", "--n=${oc.env:PW}")
    assert (ran.returncode, run.info.status) == (1, "FAILED")
    told = "argument --n: '${oc.env:PW}' is not of the type int: write a whole number, such as 42."
    assert ran.stderr.strip().splitlines()[-1].startswith(told)
    assert "UserError" in store.text(run, "traceback.txt", tmp_path)


def test_a_component_with_a_parser_of_its_own_still_runs(component):
    ran, run, _ = component("assert args.x == 8", launch=EARLIER.replace("=int", "=len"))
    assert run.info.status == "FINISHED", ran.stderr
    ran, run, _ = component("pass", launch=EARLIER)
    assert "argument --x: invalid int value: 'a ${oc.env:PW}'" in ran.stderr


def test_help_tells_all(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "src/data_extraction/run.py")])
    told = " ".join(declared_parser(test_help_tells_all).format_help().split())
    assert __doc__ in told
    assert "--add_to_artifact artifact Raw data whose rows come before those of the file" in told
    assert "[--artifact_type string]" in told and "--file_url url" in told


def test_options_of_a_folder():
    options = declared_options(ROOT / "src/data_check")
    assert options["min_rows"]["required"] and options["min_rows"]["type"]("7") == 7
