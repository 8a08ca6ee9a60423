"""Sweeps on SLURM, with doubles of its commands."""

import os
import signal
import subprocess

import mlflow
import pytest
from mlflow import MlflowClient
from omegaconf import OmegaConf

from _utils.errors import UserError
from _utils.internals import PARENT_RUN_ID
from _utils.sweeps import slurm

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SLURM")


@pytest.fixture
def double(tmp_path, monkeypatch):
    """Lets a command of SLURM be a script; the value does so, and the file has the calls."""
    calls = tmp_path / "calls"

    def double(command, script=""):
        file = tmp_path / command
        file.write_text(f"#!/bin/bash\necho {command} $* >> {calls}\n{script}\n")
        file.chmod(0o755)
        return calls

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return double


@pytest.mark.parametrize(("minutes", "delay", "in_time"), [(60, 120, 120), (2, 120, 12)])
def test_the_warning_before_the_time_limit_comes_near_it(minutes, delay, in_time):
    launcher = OmegaConf.create({"timeout_min": minutes, "signal_delay_s": delay})
    slurm.warn_near_time_limit(launcher)
    assert launcher.signal_delay_s == in_time
    slurm.warn_near_time_limit(OmegaConf.create({"n_jobs": 1}))  # a launcher that has no limit


def test_arrays_are_those_that_submitit_left_in_the_folder_of_the_sweep(tmp_path):
    for folder in "27_0", "27_1", "31", "logs":
        (tmp_path / ".submitit" / folder).mkdir(parents=True)
    hydra = {"runtime": {"choices": {"hydra/launcher": "submitit_slurm"}}}
    hydra = OmegaConf.create(hydra | {"sweep": {"dir": str(tmp_path)}})
    assert slurm.arrays_of(hydra) == ["27", "31"]
    hydra.runtime.choices["hydra/launcher"] = "joblib"
    assert slurm.arrays_of(hydra) == []


def test_reasons_for_waiting_have_their_cures(double):
    double("squeue", r"printf 'Resources\nPartitionTimeLimit\nNone\nResources\n'")
    reasons = slurm.reasons_for_waiting(["27"])
    assert reasons.count("; waiting: Resources.") == 1
    assert "; waiting: PartitionTimeLimit. hydra.launcher.timeout_min is above" in reasons
    assert slurm.reasons_for_waiting([]) == ""


def test_jobs_that_wait_are_cancelled_first_and_nothing_is_shown(double, capfd):
    double("squeue")
    calls = double("scancel", "echo scancel: error: Invalid job id specified >&2; exit 1")
    slurm.cancel_jobs(["27", "31"])
    called = [line for line in calls.read_text().splitlines() if line.startswith("scancel")]
    assert called == [
        "scancel --state=PENDING 27 31",
        "scancel --signal=HUP 27 31",
        "scancel 27 31",
    ]
    assert capfd.readouterr() == ("", "")


def test_an_error_of_submitit_has_its_cure():
    refused = RuntimeError("sbatch: error: invalid partition specified: x")
    message = slurm.explain(refused, [], "python main.py -m x")
    assert "invalid partition specified: x" in message and "Correct, repeat" in message
    ended = RuntimeError("Job 27_0 with path x\nhas no output (state: TIMEOUT)\nTraceback")
    message = slurm.explain(ended, ["27"], "python main.py -m x")
    assert message.startswith("SLURM ended a job. Job 27_0 with path x has no output (state: TIME")
    assert "hydra.launcher.timeout_min" in message and "Traceback" not in message


def test_a_job_at_its_time_limit_ends_its_component(scratch_store):
    client, before = MlflowClient(), signal.getsignal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, slurm.end_at_limit)
    with mlflow.start_run() as job:
        run = client.create_run("0", tags={PARENT_RUN_ID: job.info.run_id})
        its = {"MLFLOW_RUN_ID": run.info.run_id}
        component = subprocess.Popen(["sleep", "60"], env={**os.environ, **its})
        with pytest.raises(UserError, match=r"its time was up.*timeout_min=") as error:
            os.kill(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)
    assert "\n" not in str(error.value)
    assert component.wait() == -signal.SIGTERM
    assert client.get_run(run.info.run_id).info.status == "KILLED"
