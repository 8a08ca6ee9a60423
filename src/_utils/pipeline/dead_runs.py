"""Runs whose process is dead: which ones they are, and closing them."""

import json
import platform
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_RUN_NOTE,
)

from _utils.index import all_experiments, all_pages
from _utils.pipeline.processes import RUN_ID, end_processes, environment_of, is_alive, working_for

PROCESS = "process"  # tag: the process that a run lives and dies with


def process_tag(process: psutil.Process | None = None) -> str:
    """What says which process it is, on which machine; a number alone is used again one day."""
    process = process or psutil.Process()
    started = process.create_time()
    return json.dumps({"host": platform.node(), "pid": process.pid, "started": started})


def close_dead_runs(is_local: bool) -> int:
    """Close the runs that were left RUNNING by a process of this machine that was killed.

    Their components, should any still be at work, are ended: nobody waits for them.

    Args:
        is_local: Whether all runs of the store are of this machine.

    Returns:
        How many runs were closed.
    """
    client = MlflowClient()
    running = _running()
    dead = {
        run.info.run_id
        for run in running
        if PROCESS in run.data.tags and _is_dead(json.loads(run.data.tags[PROCESS]))
    }
    if is_local and not _is_launching():  # those that were killed before main.py could tag them
        dead |= {run.info.run_id for run in running if _is_unclaimed(run)}
    dead |= _below(dead, running)
    if dead:
        end_processes(working_for(dead))
    for run_id in dead:
        client.set_tag(run_id, MLFLOW_RUN_NOTE, "Its process was killed; closed by the next run.")
        client.set_terminated(run_id, "KILLED")
    return len(dead)


def close_below(run_id: str) -> None:
    """Close the runs below one that are open, as KILLED, and end what still works for them."""
    client = MlflowClient()
    running = _running()
    left = _below({run_id}, running)
    end_processes(working_for(left))
    for below in left:
        client.set_terminated(below, "KILLED")


def _running() -> list[Run]:
    query = "attributes.status = 'RUNNING'"
    return [*all_pages(MlflowClient().search_runs, all_experiments(), query)]


def _below(run_ids: set[str], running: list[Run]) -> set[str]:
    """Those of the running that are children of these, or children of such."""
    parents = {run.info.run_id: run.data.tags.get(MLFLOW_PARENT_RUN_ID) for run in running}
    found = set(run_ids)
    for _ in "jobs of a sweep", "components":
        found |= {run_id for run_id, parent in parents.items() if parent in found}
    return found - run_ids


def _is_unclaimed(run: Run) -> bool:
    """Tell whether `mlflow run` made it, and main.py never had it."""
    tags = run.data.tags
    return (
        MLFLOW_PROJECT_ENTRY_POINT in tags
        and not {PROCESS, MLFLOW_PARENT_RUN_ID} & tags.keys()
        and run.info.run_id != RUN_ID
    )


def _is_launching() -> bool:
    """Tell whether another `mlflow run` may work with the same store as this process."""
    own = {process.pid for process in psutil.Process().parents()}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.pid in own or "run" not in words or "mlflow" not in " ".join(words[:2]):
            continue
        uri = environment_of(process).get("MLFLOW_TRACKING_URI", "")
        if uri.startswith("sqlite") or process.info["cwd"] == str(Path.cwd()):
            return True
    return False


def _is_dead(tag: dict) -> bool:
    if tag["host"] != platform.node():
        return False
    try:
        process = psutil.Process(tag["pid"])
    except psutil.NoSuchProcess:
        return True
    return abs(process.create_time() - tag["started"]) > 1 or not is_alive(process)
