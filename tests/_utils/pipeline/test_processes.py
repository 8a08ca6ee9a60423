"""What differs between systems; test_ends.py has the signals themselves."""

import os
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
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize("system", ["posix", "nt"])
def test_the_end_of_mlflow_run_is_an_interrupt(system, handlers, monkeypatch):
    """On Windows without os.kill, which would end the process there before it closes its runs."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        launched_by = psutil.Process(ended.pid)
    monkeypatch.setattr(processes, "launcher", lambda: launched_by)
    kill = {"kill": os.kill, "getpid": os.getpid} if system == "posix" else {}
    here = SimpleNamespace(name=system, environ={}, **kill)
    monkeypatch.setattr(processes, "os", here)
    patience = time.monotonic() + 60
    with pytest.raises(processes.Interrupted, match="SIGTERM"):
        processes.watch_for_interrupts()
        while time.monotonic() < patience:
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["python", "/bin/mlflow", "run", "."], ["mlflow", "run", "."]),
        (["python.exe", "mlflow.exe", "run", "."], ["mlflow", "run", "."]),
        (["python", "-m", "mlflow", "run", "."], ["python", "-m", "mlflow", "run", "."]),
    ],
)
def test_the_command_that_was_typed(words, typed, monkeypatch):
    launched_by = SimpleNamespace(cmdline=lambda: words)
    monkeypatch.setattr(processes, "launcher", lambda: launched_by)
    assert processes.typed_command() == typed
