"""Signals, the processes of a run, and runs whose process is dead."""

import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_RUN_NOTE,
)

from _utils.index import all_experiments

PROCESS = "process"  # tag: the process that a run lives and dies with
GRACE = 2  # seconds a process has to end by itself


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; `status` is what the process exits with."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.status = 128 + signum


def watch_for_interrupts() -> None:
    """Raise Interrupted in the main thread at Ctrl-C, SIGTERM, or the end of `mlflow run`."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    if launched_by := launcher():
        # A SIGTERM that is meant for the pipeline usually hits `mlflow run`, which passes on none.
        def wait_for_its_end() -> None:
            while is_alive(launched_by):
                time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait_for_its_end, daemon=True).start()


def is_alive(process: psutil.Process) -> bool:
    """Tell whether it is still there, and not only until its parent takes notice of its end."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: what follows is the cleaning up. `mlflow run` sends a SIGTERM after Ctrl-C.
    for later in (signal.SIGINT, signal.SIGTERM):
        signal.signal(later, lambda *_: None)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"  # no time to wait for a server
    raise Interrupted(signum)


def launcher() -> psutil.Process | None:
    """The `mlflow run` that this process works for, if there is one.

    Its children have the run's id in their environment; it has not.
    """
    run_id = _environment_of(psutil.Process()).get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    for process in psutil.Process().parents():
        if _environment_of(process).get("MLFLOW_RUN_ID") != run_id:
            return process if "mlflow" in " ".join(process.cmdline()) else None
    return None


def typed_command() -> list[str]:
    """The command that the user typed."""
    if launched_by := launcher():
        _, *words = launched_by.cmdline()
        return ["mlflow", *words[1:]] if words[0].endswith("mlflow") else ["python", *words]
    return ["python", *sys.orig_argv[1:]]


def working_for(run_ids: Collection[str]) -> set[psutil.Process]:
    """The processes of these runs."""
    return {
        process
        for process in psutil.process_iter()
        if _environment_of(process).get("MLFLOW_RUN_ID") in run_ids
    }


def end_processes(found: set[psutil.Process]) -> None:
    """End them: politely, then for certain."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in found:
            try:
                end(process)
            except psutil.NoSuchProcess:
                continue
        patience = time.monotonic() + GRACE
        while found := {process for process in found if is_alive(process)}:
            if time.monotonic() > patience:
                break
            time.sleep(0.02)


def _environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):  # it is another user's, or gone
        return {}


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
    running = client.search_runs(all_experiments(), "attributes.status = 'RUNNING'")
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
    running = client.search_runs(all_experiments(), "attributes.status = 'RUNNING'")
    left = _below({run_id}, running)
    end_processes(working_for(left))
    for below in left:
        client.set_terminated(below, "KILLED")


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
        and run.info.run_id != _environment_of(psutil.Process()).get("MLFLOW_RUN_ID")
    )


def _is_launching() -> bool:
    """Tell whether another `mlflow run` may work with the same store as this process."""
    own = {process.pid for process in psutil.Process().parents()}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.pid in own or "run" not in words or "mlflow" not in " ".join(words[:2]):
            continue
        uri = _environment_of(process).get("MLFLOW_TRACKING_URI", "")
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
