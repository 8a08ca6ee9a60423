"""The end of `mlflow run`, and the command that was typed; test_ends.py has the signals."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from _utils.pipeline import processes


@pytest.fixture
def handlers():
    """Puts back what watch_for_interrupts and the interrupt change."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
        yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def wait_a_minute():
    """In steps, between which this thread can be interrupted by another."""
    patience = time.monotonic() + 60
    while time.monotonic() < patience:
        time.sleep(0.01)


def test_the_end_of_mlflow_run_is_an_interrupt(handlers, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        launched_by = psutil.Process(ended.pid)
    monkeypatch.setattr(processes, "launcher", lambda: launched_by)
    with pytest.raises(processes.Interrupted, match="SIGTERM"):
        processes.watch_for_interrupts()
        wait_a_minute()


def test_an_interrupt_waits_until_the_database_has_answered(handlers):
    """SQLAlchemy would roll back, and raise another error where that fails."""
    done: list[str] = []
    module = {"__name__": "sqlalchemy.engine", "raise_signal": signal.raise_signal, "done": done}
    exec("def call(signum):\n    raise_signal(signum)\n    done.append('committed')", module)
    processes.watch_for_interrupts()
    with pytest.raises(processes.Interrupted, match="SIGINT"):
        module["call"](signal.SIGINT)
        wait_a_minute()
    assert done == ["committed"]


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["python", "/bin/mlflow", "run", "."], ["mlflow", "run", "."]),
        (["python.exe", "mlflow.exe", "run", "."], ["mlflow", "run", "."]),
        (["python", "-m", "mlflow", "run", "."], ["mlflow", "run", "."]),
        (["bash", "-c", "cd mlflow; run"], ["python", *sys.orig_argv[1:]]),
    ],
)
@pytest.mark.parametrize("task", ["run", "test", None])
def test_the_command_that_was_typed(words, typed, task, monkeypatch):
    above = [["python3", "/a/tasks.py", task, "-P", "x"]] if task else []
    above = [SimpleNamespace(cmdline=lambda each=each: each) for each in above]
    started = SimpleNamespace(cmdline=lambda: words, parents=lambda: above)
    parents = [SimpleNamespace(cmdline=lambda: ["bash"]), started]
    if task == "run" and "bash" not in words:
        typed = ["python", "tasks.py", "run", "-P", "x"]
    monkeypatch.setattr(processes, "RUN_ID", "1")
    monkeypatch.setattr(psutil.Process, "parents", lambda self: parents)
    processes.typed_command.cache_clear()
    assert processes.typed_command() == typed
    processes.typed_command.cache_clear()
