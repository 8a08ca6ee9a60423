"""Signals, and the processes of a run."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

GRACE = 2  # seconds a process has to end by itself
BROKEN_PIPE = 13  # the number of SIGPIPE, which Windows does not have
RUN_ID = os.environ.get("MLFLOW_RUN_ID")  # the run that this process was started for

cleanups = ExitStack()  # what ends with main.py, told of the error that ends it, as a sweep is
_reader_is_gone = threading.Event()


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or a reader that has gone; `status` is what the process exits with."""

    def __init__(self, signum: int):
        super().__init__("SIGPIPE" if signum == BROKEN_PIPE else signal.Signals(signum).name)
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
            if os.name == "nt":  # where os.kill would end the process at once
                _thread.interrupt_main(signal.SIGTERM)
            else:
                os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait_for_its_end, daemon=True).start()


def reader_is_gone() -> None:
    """Interrupt the main thread, for nobody reads what it writes any more (`| head -1`)."""
    _reader_is_gone.set()
    # Not by SIGPIPE itself, which a server that hangs up causes as well
    _thread.interrupt_main(signal.SIGTERM)


def end(interrupted: Interrupted) -> NoReturn:
    """Say why, if that is read, and exit."""
    if _reader_is_gone.is_set():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    print(f"\n{interrupted}: what was at work is ended; the same command continues from here.")
    sys.exit(interrupted.status)


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
    raise Interrupted(BROKEN_PIPE if _reader_is_gone.is_set() else signum)


def launcher() -> psutil.Process | None:
    """The `mlflow run` that this process works for, if there is one.

    Its children have the run's id in their environment; it has not.
    """
    if not RUN_ID:
        return None
    for process in psutil.Process().parents():
        if environment_of(process).get("MLFLOW_RUN_ID") != RUN_ID:
            return process if "mlflow" in " ".join(process.cmdline()) else None
    return None


def typed_command() -> list[str]:
    """The command that the user typed."""
    if launched_by := launcher():
        _, *words = launched_by.cmdline()
        is_script = Path(words[0]).stem == "mlflow"  # mlflow.exe, where there are such
        return ["mlflow", *words[1:]] if is_script else ["python", *words]
    return ["python", *sys.orig_argv[1:]]


def working_for(run_ids: Collection[str]) -> set[psutil.Process]:
    """The processes of these runs."""
    return {
        process
        for process in psutil.process_iter()
        if environment_of(process).get("MLFLOW_RUN_ID") in run_ids
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


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Its variables; none if they cannot be seen."""
    try:
        return process.environ()
    except (psutil.Error, OSError):  # it is another user's, or gone
        return {}
