"""Whose turn it is: a run that is due while the last still runs waits or is skipped, by config.

The lock is one of the operating system's on a file: it ends with its process, however that ends.
"""

import hashlib
import json
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE
from omegaconf import DictConfig
from sqlalchemy.engine import make_url

from _utils.errors import UserError
from _utils.pipeline.report import console

TOGETHER, SKIP = "together", "skip"  # the third: wait

_taken: list[FileLock] = []  # until this process ends; a lock ends with its object


def take_turn(main: DictConfig, experiment: str, store_uri: str, launched_id: str | None) -> None:
    """Take the lock of this pipeline, as `main.if_running` says if another process has it.

    Who runs `together` with others takes none: a server, for one, would keep it for ever.

    Args:
        main: The section `main` of the config.
        experiment: Name of the MLflow experiment.
        store_uri: Of the tracking store.
        launched_id: The run that `mlflow run` made, if it did; it tells of being skipped.

    Raises:
        UserError: The lock cannot be made.
        SystemExit: Skipped, with status 0.
    """
    if main.if_running == TOGETHER:
        return
    try:
        path = lock_file(store_uri, main.project_name, experiment)
        path.parent.mkdir(parents=True, exist_ok=True)
        _taken.append(_lock(path, main.if_running, experiment, launched_id))
        holder = {"pid": os.getpid(), "host": platform.node(), "since": time.time()}
        path.with_suffix(".json").write_text(json.dumps(holder))
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        raise UserError(
            f"main.if_running={main.if_running} needs a lock, which cannot be made: {error}. "
            "Make that folder writable, or set HOME to one that is."
        ) from error


def lock_file(store_uri: str, project: str, experiment: str) -> Path:
    """The file whose lock is that of a pipeline.

    It lies beside the database if that is a SQLite file, for then it is found by all who can work
    with the same runs. What uses a server has it in the user's folder: one lock for each machine
    and user.
    """
    pipeline = "\0".join([store_uri, project, experiment])
    name = f"pipeline-{hashlib.sha256(pipeline.encode()).hexdigest()[:12]}.lock"
    if store_uri.startswith("sqlite"):
        return Path(f"{make_url(store_uri).database}.{name}")
    return Path("~/.mlflow/locks").expanduser() / name


def _lock(path: Path, if_running: str, experiment: str, launched_id: str | None) -> FileLock:
    """The lock, taken."""
    lock = FileLock(path)
    with suppress(Timeout):
        lock.acquire(timeout=0)
        return lock
    told = f"'{experiment}' still runs, in {_holder(path)} (main.if_running={if_running})."
    if if_running == SKIP:
        console.print(f"Skipped: {told}", highlight=False, markup=False)
        if launched_id:
            MlflowClient().set_tag(launched_id, MLFLOW_RUN_NAME, f"skipped: {experiment}")
            MlflowClient().set_tag(launched_id, MLFLOW_RUN_NOTE, f"Skipped: {told}")
        sys.exit(0)
    console.print(f"Waiting: {told}", highlight=False, markup=False)
    lock.acquire(poll_interval=0.5)
    return lock


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):  # it has the lock, and has not yet said so
        holder = json.loads(path.with_suffix(".json").read_text())
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["since"]))
        return f"process {holder['pid']} on {holder['host']} since {since}"
    return "another process"
