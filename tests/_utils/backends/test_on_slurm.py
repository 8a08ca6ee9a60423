"""Components on a real SLURM."""

import re
import shlex
import signal

import pytest
from conftest import Store, Typed, clone, type_in
from small import make_small

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
ON_NODE = "python main.py main.backend=slurm +main.backend_config.partition=debug"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_small(clone(tmp_path_factory.mktemp("small")))


def test_its_log_and_its_parameters_are_as_on_this_machine(small, slurm_user):
    script = small / "src/trial/run.py"
    original = script.read_text()
    script.write_text("import os, sys; print(os.environ['SLURMD_NODENAME'], sys.argv[1:])\n")
    text = '"two" words, $HOME; x'
    value = shlex.quote(f"components.trial.parameters.x='{text}'")
    ran = type_in(small, f"{ON_NODE} {value}", **slurm_user)
    script.write_text(original)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^n[12] " + re.escape(repr([text])), ran.stdout, re.MULTILINE)
    store = Store(slurm_user["MLFLOW_TRACKING_URI"])
    trial = store.children(store.pipeline())[1]
    assert trial.data.tags["mlflow.project.backend"] == "slurm"


def test_its_failure_is_shown(small, slurm_user):
    failed = type_in(small, f"{ON_NODE} components.trial.parameters.x=0", **slurm_user)
    assert failed.returncode == 1
    assert "Component 'trial' failed with exit code 1." in failed.stdout
    assert "ZeroDivisionError" in failed.stdout


@pytest.mark.parametrize(("end", "status"), [("scancel", 1), ("Ctrl-C", 130)])
def test_it_can_be_cancelled(small, slurm_user, slurm, end, status):
    typed = Typed(small, f"{ON_NODE} components.trial.parameters.x=long", **slurm_user)
    typed.until("at work")
    if end == "scancel":
        slurm.run("scancel", "--user=root")
    else:
        typed.signal(signal.SIGINT, "all")
    assert typed.end() == status
    slurm.until(lambda: not slurm.run("squeue", "-h"))
    store = Store(slurm_user["MLFLOW_TRACKING_URI"])
    trial = store.children(store.pipeline())[1]
    assert trial.info.status == ("FAILED" if end == "scancel" else "KILLED")
