"""Interrupts: Ctrl-C, SIGTERM, a closed pipe, the end of `mlflow run`; and processes of runs."""

import _thread
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from _utils.command_line import as_line
from _utils.environment import tell, told
from _utils.errors import explain

GRACE = 2  # seconds that a process has to end by itself
BROKEN_PIPE = 13  # the number of SIGPIPE, which Windows does not have
SWEEP = "SWEEP_RUN_ID"  # variable: the run of the sweep that this process runs jobs of
RUN_ID = told("MLFLOW_RUN_ID")  # the run that this process was started for

cleanups = ExitStack()  # what ends with main.py, told of the error that ends it, as a sweep is
_reader_is_gone = threading.Event()


class Interrupted(KeyboardInterrupt):
    """What main.py ends with; `status` is its exit status."""

    def __init__(self, signum: int):
        super().__init__("SIGPIPE" if signum == BROKEN_PIPE else signal.Signals(signum).name)
        self.status = 128 + signum


def watch_for_interrupts() -> None:
    """Raise Interrupted in the main thread at Ctrl-C, SIGTERM, or the end of `mlflow run`."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    typed_command()  # it cannot be known any more when `mlflow run` has ended
    # A SIGTERM for the pipeline usually reaches `mlflow run`, which does not pass it on
    if launched_by := launcher():

        def watch() -> None:
            while is_alive(launched_by):
                time.sleep(0.2)
            _thread.interrupt_main(signal.SIGTERM)

        threading.Thread(target=watch, daemon=True).start()


def _interrupt(signum: int, frame: FrameType | None, patience: int = 250) -> None:
    modules = [each.f_globals.get("__name__", "") for each, _ in traceback.walk_stack(frame)]
    if patience and any("sqlalchemy" in name for name in modules):  # it would raise another error
        signal.signal(signum, partial(_interrupt, patience=patience - 1))
        threading.Timer(0.02, _thread.interrupt_main, [signum]).start()
        return
    for later in (signal.SIGINT, signal.SIGTERM):  # `mlflow run` sends a SIGTERM after Ctrl-C
        signal.signal(later, lambda *_: None)
    tell("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # no time to wait for a server
    raise Interrupted(BROKEN_PIPE if _reader_is_gone.is_set() else signum)


def reader_is_gone() -> None:
    """Interrupt the main thread: nobody reads what it writes any more (`| head -1`)."""
    _reader_is_gone.set()
    _thread.interrupt_main(signal.SIGTERM)  # not SIGPIPE: a server that hangs up causes that too


@contextmanager
def faults_told() -> Iterator[None]:
    """End the process at an error, with what the user can do about it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        reader_is_gone()
    except Exception as error:
        sys.exit(explain(error))


def end(interrupted: Interrupted) -> NoReturn:
    """Say how to continue, and exit."""
    if _reader_is_gone.is_set():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    print(f"\nStopped by {interrupted}. To continue: `{as_line(typed_command())}`")
    sys.exit(interrupted.status)


def launcher() -> psutil.Process | None:
    """The `mlflow run` that started this process, if one did."""
    parents = psutil.Process().parents() if RUN_ID else []
    return next((process for process in parents if "run" in _words_after("mlflow", process)), None)


@cache
def typed_command() -> list[str]:
    """The command that the user typed."""
    if not (launched_by := launcher()):
        return ["python", *sys.orig_argv[1:]]
    for process in launched_by.parents():
        if (words := _words_after("tasks", process))[:1] == ["run"]:
            return ["python", "tasks.py", *words]
    return ["mlflow", *_words_after("mlflow", launched_by)]


def _words_after(program: str, process: psutil.Process) -> list[str]:
    """What follows a program in the command line of a process: `python /bin/mlflow run .`."""
    with suppress(psutil.Error):  # it has ended, or belongs to another user
        words = process.cmdline()
        places = [place for place, word in enumerate(words[:3]) if Path(word).stem == program]
        return words[places[0] + 1 :] if places else []
    return []


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process works; one that waits for its parent to notice its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def working_for(run_ids: Collection[str]) -> set[psutil.Process]:
    """The processes that were started for these runs, of those that may be seen."""
    found = set()
    for process in psutil.process_iter() if run_ids else ():
        with suppress(psutil.Error, OSError):
            if process.environ().get("MLFLOW_RUN_ID") in run_ids:
                found.add(process)
    return found


def end_processes(processes: set[psutil.Process]) -> None:
    """Ask processes to end, and kill those that do not."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                end(process)
        patience = time.monotonic() + GRACE
        while (processes := {*filter(is_alive, processes)}) and time.monotonic() < patience:
            time.sleep(0.02)
