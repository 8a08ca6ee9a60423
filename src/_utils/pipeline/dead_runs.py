"""Runs that an interrupted process leaves RUNNING: it, or the next pipeline, marks them KILLED.

A run has the tag `process`: host, process id and start of the process that will end it. The process
is gone if this host has none of that id, or one that was started at another time. All else is left
alone. Hosts that share a tracking server need names of their own.
"""

import json
import platform
from contextlib import suppress

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

from _utils.artifacts.index import all_experiments, all_pages
from _utils.internals import PARENT_RUN_ID
from _utils.pipeline.processes import end_processes, is_alive, working_for

PROCESS = "process"  # the tag
LAUNCHER = "launcher"  # tag: the run that `mlflow run .` made
TOLERANCE = 60  # seconds by which the start of a process may seem to change when a clock is set


def process_tag(process: psutil.Process | None = None) -> str:
    """The tag of a run that this process, or another one, will end."""
    process = process or psutil.Process()
    start = process.create_time()
    return json.dumps({"host": platform.node(), "pid": process.pid, "create_time": start})


def is_dead(tag: dict) -> bool:
    """Tell whether the process of a tag is certainly gone."""
    if tag["host"] != platform.node() or "create_time" not in tag:  # older versions had other tags
        return False
    try:
        process = psutil.Process(tag["pid"])
        is_other = abs(process.create_time() - tag["create_time"]) > TOLERANCE
        return is_other or not is_alive(process)
    except psutil.Error:
        return not psutil.pid_exists(tag["pid"])  # another user's may exist and yet be hidden


def close_dead_runs() -> int:
    """Mark runs as KILLED if their process has ended, with those below them; returns how many.

    Their components are ended if they still work. Runs without the tag are left alone.
    """
    running = _running()
    tags = {run.info.run_id: run.data.tags.get(PROCESS) for run in running}
    dead = {run_id for run_id, tag in tags.items() if tag and is_dead(json.loads(tag))}
    # A run that has a process of its own, such as a job of a sweep, is judged by that alone
    return _kill(dead | _below(dead, [run for run in running if not tags[run.info.run_id]]))


def close_below(run_id: str) -> None:
    """Mark the runs below one that are RUNNING as KILLED, and end what still works for them."""
    _kill(_below({run_id}, _running()))


def _running() -> list[Run]:
    query = "attributes.status = 'RUNNING'"
    return [*all_pages(MlflowClient().search_runs, all_experiments(), query)]


def _below(run_ids: set[str], running: list[Run]) -> set[str]:
    """The running ones that are children of these runs, or children of such."""
    below: set[str] = set()
    for _ in "jobs of a sweep", "components":
        parents = run_ids | below
        below |= {run.info.run_id for run in running if run.data.tags.get(PARENT_RUN_ID) in parents}
    return below


def _kill(run_ids: set[str]) -> int:
    end_processes(working_for(run_ids))
    for run_id in run_ids:
        MlflowClient().set_terminated(run_id, "KILLED")
    return len(run_ids)


def kill_runs() -> None:
    """Close all runs that are open, as KILLED, and those below them."""
    with suppress(Exception):  # the next run closes them
        while run := mlflow.active_run():
            close_below(run.info.run_id)
            if launched_id := run.data.tags.get(LAUNCHER):
                MlflowClient().set_terminated(launched_id, "KILLED")
            mlflow.end_run("KILLED")
