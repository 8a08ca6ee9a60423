"""Only runs whose recorded process is gone for certain are closed."""

import json
import os
import subprocess
import sys

import mlflow
import psutil
import pytest

from _utils.pipeline import dead_runs
from _utils.pipeline.dead_runs import PROCESS, close_dead_runs, is_dead, process_tag


@pytest.fixture
def ended():
    """The tag of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        tag = json.loads(process_tag(psutil.Process(process.pid)))
        process.communicate(b"\n")
    return tag


ALIVE = json.loads(process_tag())
ELSEWHERE = [{"host": "another"}, {"machine": "another"}, {"container": "pid:[1]"}]
NO_LINUX = {"boot": "", "container": ""}


def test_a_process_is_known_by_its_number_and_its_start(ended):
    assert is_dead(ended)
    assert not is_dead(ALIVE)
    assert is_dead(ALIVE | {"started": ALIVE["started"] - 100})


@pytest.mark.parametrize("place", ELSEWHERE)
def test_one_that_cannot_be_seen_from_here_is_not_judged(ended, place):
    assert not is_dead(ended | place)
    assert not is_dead(ended | place | {"boot": "another"})


def test_another_boot_of_this_machine_is_over(ended, monkeypatch):
    place = dead_runs.here() | {"container": dead_runs.OUTSIDE}
    monkeypatch.setattr(dead_runs, "here", lambda: place)
    assert is_dead(ended | place | {"boot": "another"})
    # A container of another machine may have all the same names and numbers, but for the boot
    place["container"] = "pid:[4026532281]"
    assert not is_dead(ended | place | {"boot": "another"})
    assert is_dead(ended | place)


def test_what_older_versions_recorded_is_not_judged(ended):
    assert not is_dead({key: ended[key] for key in ("host", "pid", "started")})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system keeps the time itself")
def test_a_clock_that_is_set_changes_nothing(monkeypatch):
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0)
    assert not is_dead(ALIVE)


def test_where_there_is_no_proc(ended, monkeypatch):
    monkeypatch.setattr(dead_runs, "_read", lambda path: "")
    place = dead_runs.here() | NO_LINUX
    monkeypatch.setattr(dead_runs, "here", lambda: place)
    assert not is_dead(json.loads(process_tag()))
    assert is_dead(json.loads(process_tag()) | {"pid": ended["pid"]})


@pytest.mark.skipif(os.name != "posix", reason="only there processes are hidden")
def test_a_process_that_proc_hides_is_not_judged(ended, monkeypatch):
    def deny(pid, signum):
        raise PermissionError

    monkeypatch.setattr(os, "kill", deny)
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
