"""Only runs whose recorded process is certainly gone are marked as KILLED."""

import json
import subprocess
import sys

import mlflow
import psutil
import pytest

from _utils.pipeline.dead_runs import PROCESS, close_dead_runs, is_dead, process_tag

ALIVE = json.loads(process_tag())


@pytest.fixture
def ended():
    """The tag of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        tag = json.loads(process_tag(psutil.Process(process.pid)))
        process.communicate(b"\n")
    return tag


def test_a_process_is_known_by_its_number_and_its_start(ended):
    assert is_dead(ended)
    assert not is_dead(ALIVE)
    assert not is_dead(ALIVE | {"create_time": ALIVE["create_time"] - 10})  # the clock was set
    assert is_dead(ALIVE | {"create_time": ALIVE["create_time"] - 100})


def test_in_doubt_a_run_is_left_alone(ended, monkeypatch):
    assert not is_dead(ended | {"host": "another"})
    assert not is_dead({"host": ended["host"], "pid": ended["pid"], "started": 1})  # version 1.0
    monkeypatch.setattr(psutil, "pid_exists", lambda pid: True)  # hidden, being another user's
    assert not is_dead(ended)


def test_what_is_below_a_dead_run_is_closed_unless_it_has_a_process(scratch_store, ended):
    dead, alive = {PROCESS: json.dumps(ended)}, {PROCESS: process_tag()}
    client, experiment = mlflow.MlflowClient(), mlflow.create_experiment("dead runs")

    def start(tags, parent=None):
        below = {"mlflow.parentRunId": parent} if parent else {}
        return client.create_run(experiment, tags=tags | below).info.run_id

    lead = start(dead)
    closed = [lead, start({}, lead), start({}, start(dead, lead))]
    job = start(alive, lead)
    launcher = {"mlflow.project.entryPoint": "main"}
    left = [job, start({}, job), start(alive), start(launcher), start({})]
    assert close_dead_runs() == len(closed) + 1
    assert {client.get_run(run_id).info.status for run_id in closed} == {"KILLED"}
    assert {client.get_run(run_id).info.status for run_id in left} == {"RUNNING"}
    for run_id in left:
        client.set_terminated(run_id)
