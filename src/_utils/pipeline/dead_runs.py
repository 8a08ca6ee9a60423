"""Runs whose process is dead: which ones they are, and closing them."""

import json
import os
import platform
import uuid
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from _utils.artifacts.index import all_experiments, all_pages
from _utils.pipeline.processes import end_processes, is_alive, working_for

PROCESS = "process"  # tag: the process that a run lives and dies with
OUTSIDE = "pid:[4026531836]"  # Linux' name of the processes that are in no container


def process_tag(process: psutil.Process | None = None) -> str:
    """What says which process it is, on which machine; a number alone is used again one day."""
    process = process or psutil.Process()
    return json.dumps(here() | {"pid": process.pid, "started": started(process)})


def here() -> dict[str, str]:
    """Where this process runs: the machine, its boot, and the container, as Linux tells them."""
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        container = ""
    return {
        "host": platform.node(),
        "machine": _read("/etc/machine-id") or f"{uuid.getnode():x}",
        "boot": _read("/proc/sys/kernel/random/boot_id"),
        "container": container,
    }


def started(process: psutil.Process) -> float:
    """When a process was started: on Linux in ticks since the boot, for clocks are set."""
    stat = _read(f"/proc/{process.pid}/stat")  # number, (name), and 19 fields further the start
    return int(stat.rpartition(")")[2].split()[19]) if stat else process.create_time()


def close_dead_runs() -> int:
    """Close the runs that were left RUNNING by a process of this machine that was killed.

    Their components, should any still be at work, are ended: nobody waits for them. Runs without
    the tag of a process are left alone, such as what `mlflow run` makes before main.py starts.

    Returns:
        How many runs were closed.
    """
    client = MlflowClient()
    running = _running()
    tagged = [run for run in running if PROCESS in run.data.tags]
    dead = {run.info.run_id for run in tagged if is_dead(json.loads(run.data.tags[PROCESS]))}
    # What has a process of its own, as the jobs of a sweep have, is judged by that alone
    dead |= _below(dead, [run for run in running if run not in tagged])
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


def is_dead(tag: dict) -> bool:
    """Tell whether a process is gone for certain.

    One of another machine or container cannot be seen from here, even if the hosts have the same
    name: it is not judged.
    """
    place = here()
    if any(tag.get(key) != place[key] for key in ("host", "machine", "container")):
        return False
    if tag.get("boot") != place["boot"]:
        return place["container"] == OUTSIDE  # others may be on other machines, with equal numbers
    try:
        process = psutil.Process(tag["pid"])
        return abs(started(process) - tag["started"]) > 1 or not is_alive(process)
    except psutil.AccessDenied:
        return False
    except psutil.NoSuchProcess:
        return not _is_hidden(tag["pid"])


def _is_hidden(pid: int) -> bool:
    """Tell whether there is such a process of another user, which /proc may not show."""
    if os.name == "posix":  # elsewhere os.kill ends the process
        try:
            os.kill(pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)
    return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
