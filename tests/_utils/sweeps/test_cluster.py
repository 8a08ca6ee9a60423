"""Sweeps on SLURM, with doubles of its commands."""

import os
import signal
import subprocess

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import OmegaConf

from _utils.errors import UserError
from _utils.pipeline import runs
from _utils.sweeps import cluster, progress, sweep

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SLURM")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Lets a command of SLURM be a script; the value does so, and the file has what was called."""
    calls = tmp_path / "calls"

    def be(command, script=""):
        file = tmp_path / command
        file.write_text(f"#!/bin/bash\necho {command} $* >> {calls}\n{script}\n")
        file.chmod(0o755)
        return calls

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return be


@pytest.mark.parametrize(
    ("minutes", "delay", "in_time"), [(60, 120, 120), (2, 120, 12), (1, 120, 6), (0.1, 1, 1)]
)
def test_the_signal_before_the_time_limit_comes_near_it(minutes, delay, in_time):
    launcher = OmegaConf.create({"timeout_min": minutes, "signal_delay_s": delay})
    cluster.warn_in_time(launcher)
    assert launcher.signal_delay_s == in_time
    cluster.warn_in_time(OmegaConf.create({"n_jobs": 1}))  # a launcher that knows none


def test_why_jobs_wait_is_told_once_for_each_reason(slurm, scratch_store, monkeypatch, capfd):
    slurm("squeue", r"printf 'Resources\nPartitionTimeLimit\nNone\nResources\n'")
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    monkeypatch.setattr(progress, "SELDOM", 1)
    asked, goal = [], OmegaConf.create({"metric": "x", "direction": "minimize"})

    def why_waiting():
        asked.append(1)
        return cluster.why_waiting(["27"])

    watching = progress.Progress(MlflowClient().create_run("0").info, 2, goal, why_waiting)
    while len(asked) < 3:
        pass
    watching.stop()
    told = capfd.readouterr().out
    assert told.count("Jobs wait in the queue: Resources") == 1
    assert told.count("PartitionTimeLimit. hydra.launcher.timeout_min is above") == 1
    assert cluster.why_waiting([]) == []


def test_what_is_cancelled_waits_no_longer_and_does_not_see_its_components_fail(slurm, capfd):
    slurm("squeue")
    calls = slurm("scancel", "echo scancel: error: Invalid job id specified >&2; exit 1")
    cluster.cancel_jobs(["27", "31"])
    called = [line for line in calls.read_text().splitlines() if line.startswith("scancel")]
    assert called == [
        "scancel --state=PENDING 27 31",
        "scancel --signal=HUP 27 31",
        "scancel 27 31",
    ]
    assert capfd.readouterr() == ("", "")


def test_an_error_is_told_with_its_own_cure():
    refused = RuntimeError("sbatch: error: invalid partition specified: x")
    told = cluster.explain(refused, [], "python main.py -m x")
    assert "invalid partition specified: x" in told and "Correct and repeat" in told
    ended = RuntimeError("Job 27_0 with path x\nhas no output (state: TIMEOUT)\nTraceback")
    told = cluster.explain(ended, ["27"], "python main.py -m x")
    assert told.startswith("SLURM ended a job. Job 27_0 with path x has no output (state: TIMEOUT)")
    assert "hydra.launcher.timeout_min" in told and "Traceback" not in told


def test_a_job_at_its_time_limit_is_told_in_a_line_and_ends_its_component(scratch_store):
    client, before = MlflowClient(), signal.getsignal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, runs._end_at_limit)
    with mlflow.start_run() as job:
        run = client.create_run("0", tags={MLFLOW_PARENT_RUN_ID: job.info.run_id})
        its = {"MLFLOW_RUN_ID": run.info.run_id}
        component = subprocess.Popen(["sleep", "60"], env={**os.environ, **its})
        with pytest.raises(UserError, match=r"its time is up.*hydra.launcher.timeout_min=") as told:
            os.kill(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)
    assert "\n" not in str(told.value)
    assert component.wait() == -signal.SIGTERM
    assert client.get_run(run.info.run_id).info.status == "KILLED"


@pytest.mark.parametrize("last", ["FINISHED", "FAILED"])
def test_the_last_attempt_at_a_job_counts(scratch_store, monkeypatch, last):
    client, counted = MlflowClient(), []
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    monkeypatch.setattr(sweep, "publish_answer", lambda jobs, *_: counted.extend(jobs))
    monkeypatch.setattr(sweep, "print_ui_hint", lambda *_: None)
    monkeypatch.setattr(sweep, "serve_tracking_store", lambda: "")
    config = OmegaConf.create(
        {
            "main": {"objective": {"metric": "x", "direction": "minimize"}},
            "hydra": {"runtime": {"choices": {"hydra/launcher": "basic"}}},
        }
    )
    led = mlflow.start_run()
    for start, job, status in [(1, "0", None), (2, "1", "FINISHED"), (3, "0", last)]:
        tags = {MLFLOW_PARENT_RUN_ID: led.info.run_id, runs.JOB: job}
        run = client.create_run(led.info.experiment_id, start_time=start, tags=tags)
        if status:
            client.set_terminated(run.info.run_id, status)
    its = sweep.Sweep(led.info, config, 2)
    if last == "FINISHED":
        its.end("SLURM ended a job.")  # and has run it again since
    else:
        with pytest.raises(SystemExit):
            its.end()
    assert sorted((run.data.tags[runs.JOB], run.info.status) for run in counted) == [
        ("0", last),
        ("1", "FINISHED"),
    ]
    assert client.get_run(led.info.run_id).info.status == last
