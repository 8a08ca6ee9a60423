"""What befalls a pipeline: signals, kills, two at once, full disks, servers that go away."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import ENVIRONMENT, clone, store_of

from _utils.pipeline.processes import is_alive

pytestmark = pytest.mark.slow

MLFLOW_RUN = "mlflow run . --env-manager local"


class Typed:
    """A command at work, in a terminal's foreground."""

    def __init__(self, folder: Path, command: str, **variables: str):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env={**ENVIRONMENT, "PATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.text = ""

    def until(self, told: str) -> None:
        """Wait until it has told this."""
        while told not in self.text:
            line = self.process.stdout.readline()
            assert line, self.text
            self.text += line

    def end(self) -> int:
        """Wait for its end; returns the exit status as a shell has it."""
        rest, _ = self.process.communicate()
        self.text += rest
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def signal(self, signum: int, whom: str) -> None:
        """Send it to the one, or (Ctrl-C) to all in the foreground."""
        if whom == "all":
            os.killpg(self.process.pid, signum)
        elif whom == "first":
            self.process.send_signal(signum)
        else:
            found = [p for p in self.tree() if whom in " ".join(p.cmdline())]
            found[-1].send_signal(signum)

    def tree(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]


# A component that runs until it is ended, with a child that does not want to.
STUBBORN = """
import subprocess, sys
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
print("at work", flush=True)
child.wait()
"""


@pytest.fixture(scope="module")
def stubborn(tmp_path_factory):
    """A clone whose basic_cleaning hangs."""
    folder = clone(tmp_path_factory.mktemp("stubborn"))
    (folder / "src/basic_cleaning/run.py").write_text(STUBBORN)
    return folder


@pytest.mark.parametrize(
    ("command", "signum", "whom", "status"),
    [
        ("python main.py main.steps=[download,basic_cleaning]", signal.SIGINT, "all", 130),
        ("python main.py main.steps=[download,basic_cleaning]", signal.SIGTERM, "first", 143),
        # Its own end is MLflow's affair: at Ctrl-C it says "Aborted!".
        (f"{MLFLOW_RUN} -P steps=download,basic_cleaning", signal.SIGINT, "all", 1),
        (f"{MLFLOW_RUN} -P steps=download,basic_cleaning", signal.SIGTERM, "first", 143),
    ],
)
def test_a_signal_ends_all_that_is_at_work(stubborn, command, signum, whom, status):
    typed = Typed(stubborn, command)
    typed.until("at work")
    at_work = [each for each in typed.tree() if "time.sleep(600)" in " ".join(each.cmdline())]
    typed.signal(signum, whom)
    assert typed.end() == status, typed.text
    assert at_work and not any(map(is_alive, at_work))
    assert "Traceback" not in typed.text
    assert f"{signal.Signals(signum).name}: what was at work is ended" in typed.text
    store = store_of(stubborn)
    pipeline = store.pipeline()
    assert pipeline.info.status == "KILLED"
    cleaning = store.children(pipeline)[-1]
    assert (cleaning.info.run_name, cleaning.info.status) == ("basic_cleaning", "KILLED")
    assert "log.txt" in store.files(cleaning)
