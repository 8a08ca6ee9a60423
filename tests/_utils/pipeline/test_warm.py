"""Components that are forked from a warm parent are what `python run.py` would be."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from _utils.pipeline import warm
from _utils.pipeline.processes import is_alive
from _utils.warm import IS_POSSIBLE, warm_starts

pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="only Linux forks safely")

# What a process can see of itself; `python run.py` and a warm start have to print the same
LOOK = """
import json, os, random, signal, sys, threading, warnings
import colorsys
main = sys.modules["__main__"]
print(json.dumps({
    "name": __name__, "file": __file__, "argv": sys.argv, "path": sys.path, "main": main is not None
    and vars(main) is globals(), "cwd": os.getcwd(), "orig": sys.orig_argv[1:],
    "environ": {k: v for k, v in os.environ.items() if k != "_" and "WARM_PARENT" not in k},
    "umask": os.umask(0o22), "threads": threading.active_count(), "stdin": sys.stdin.read(),
    "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
    "files": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
    "filters": len(warnings.filters), "encoding": sys.stdout.encoding, "colors": colorsys.ONE_SIXTH,
    "seekable": [sys.stdout.seekable(), sys.stderr.seekable()],
    "spoilt": [hasattr(json, "spoilt"), hasattr(random, "spoilt"), os.path.exists("spoilt")],
}))
"""
SPOIL = """
import json, os, random, signal, sys, threading, time, warnings
json.spoilt = random.spoilt = True
os.environ["SPOILT"] = "1"
os.chdir("/")
os.umask(0)
sys.path[:0] = ["/nowhere"]
warnings.simplefilter("error")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
kept_open = open("/etc/hostname")
random.seed(1)
"""


@pytest.fixture
def component(tmp_path):
    """A component's folder, in a repository of its own."""
    folder = tmp_path / "src" / "step"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def open_warm_starts(tmp_path, monkeypatch):
    """In a folder whose name is longer than that of a socket can be."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with warm_starts(True):
        yield


def run(component, source, command="python run.py", variables=None, stdin=None):
    """Run a command warm, with this as its run.py; returns the exit code and what it printed."""
    if source is not None:
        (component / "run.py").write_text(source, encoding="utf-8")
    process = warm.start_component(command, str(component), os.environ | (variables or {}))
    if not process:
        return None
    with process.stdout as output:
        text = output.read().decode()
    return process.wait(), text


def parents():
    """The warm parents of this process."""
    children = [each for each in psutil.Process().children() if is_alive(each)]
    return [child for child in children if "warm/parent.py" in " ".join(child.cmdline())]


def test_it_is_what_a_new_process_is_whatever_ran_before(component):
    (component / "spoil.py").write_text(SPOIL, encoding="utf-8")
    assert run(component, LOOK, "python spoil.py") == (0, "")
    command = 'python run.py --x=1 "two words" --y=\'a "b" $c\''
    variables = os.environ | {"MLFLOW_RUN_ID": "1"}
    variables.pop("WARM_PARENTS")
    cold = subprocess.run(
        ["bash", "-c", command],
        cwd=component,
        env=variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    stdin = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        exit_code, text = run(component, None, command, {"MLFLOW_RUN_ID": "1"})
    finally:
        os.dup2(stdin, 0)
    expected = json.loads(cold.stdout)
    found = json.loads(text)
    assert exit_code == 0
    assert set(found["environ"].items()) ^ set(expected["environ"].items()) == set()
    assert found == expected


@pytest.mark.parametrize(
    "source",
    [
        "import sys; print('out'); print('error', file=sys.stderr); sys.exit(3)",
        "raise SystemExit('a message')",
        "def fail():\n    1 / 0\nfail()",
        "if:",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import atexit; atexit.register(print, 'at the end'); print('unflushed', end=' ')",
        "import threading; threading.Thread(target=print, args=['a thread']).start()",
        "import multiprocessing as m\nprint(m.get_context('fork').Pool(2).map(abs, [-1, -2]))",
    ],
)
def test_it_ends_as_a_new_process_does(component, source):
    exit_code, text = run(component, source)
    words = [sys.executable, "run.py"]
    cold = subprocess.run(
        words, cwd=component, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert (exit_code, sorted(text.splitlines())) == (
        cold.returncode,
        sorted(cold.stdout.splitlines()),
    )


def test_modules_and_pytest_start_warm(component):
    assert run(component, "print(__name__, __file__)", "python -m run")[1].startswith("__main__ /")
    (component / "test_it.py").write_text(
        "def test_it():\n    assert 1 + 1 == 3\n", encoding="utf-8"
    )
    exit_code, text = run(component, None, "pytest . -q -p no:cacheprovider")
    assert exit_code == 1
    assert "assert (1 + 1) == 3" in text and "Warning" not in text


@pytest.mark.parametrize(
    "command",
    [
        *(
            "bash run.sh",
            "python -X dev run.py",
            "python -c 1",
            "python gone.py",
            "X=1 python run.py",
        ),
        *("python run.py | cat", "python run.py $HOME", "python run.py *", "python run.py && ls"),
        *('python run.py "`pwd`"', "python run.py > out.txt", "python run.py ~", "python 'run.py"),
    ],
)
def test_what_needs_a_shell_starts_cold(component, command):
    assert run(component, "", command) is None
    assert not parents()


def test_other_variables_start_cold(component, capsys):
    assert run(component, "")
    assert run(component, "", variables={"OMP_NUM_THREADS": "7"}) is None
    assert "environment variables differ" in capsys.readouterr().out


def test_a_module_of_the_component_hides_a_library(component, capsys):
    (component / "colorsys.py").write_text("ONE_SIXTH = 'own'", encoding="utf-8")
    source = "import colorsys; print(colorsys.ONE_SIXTH)"
    assert run(component, source) == (0, "own\n")
    other = component.with_name("other")
    other.mkdir()
    assert run(other, source) == (0, f"{1 / 6}\n")
    assert run(component, source) is None  # its module would not be imported any more
    assert "colorsys has the name of a library" in capsys.readouterr().out


def test_a_library_that_cannot_be_imported_is_left_to_the_component(component):
    exit_code, text = run(
        component, "try:\n    import nowhere\nexcept ImportError:\n    print('no')"
    )
    assert (exit_code, text) == (0, "no\n")
    assert run(component, "import nowhere.at_all")[1].endswith("No module named 'nowhere'\n")


def test_a_component_that_is_killed_costs_that_component(component):
    source = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run(component, source) == (-signal.SIGKILL, "")
    assert run(component, "print(1)") == (0, "1\n")


def wait_for(what):
    """Wait until it holds, for 20 seconds at most."""
    over = threading.Event()
    for _ in range(2000):
        if what():
            return True
        over.wait(0.01)
    return False


def test_a_component_outlives_its_warm_parent_and_the_next_starts_cold(component, capsys):
    (component / "run.py").write_text("print(1, flush=True); input(); print(2)", encoding="utf-8")
    stdin, typed = os.pipe()
    kept = os.dup(0)
    os.dup2(stdin, 0)
    process = warm.start_component("python run.py", str(component), {**os.environ})
    os.dup2(kept, 0)
    with process.stdout as output:
        assert output.readline() == b"1\n"
        (parent,) = parents()
        parent.kill()
        parent.wait()
        assert process.poll() is None
        os.write(typed, b"\n")
        assert output.readline() == b"2\n"
    assert process.wait() == 0
    assert run(component, "") is None
    assert "imports its libraries anew" in capsys.readouterr().out


def test_a_component_ends_with_the_process_that_waits_for_it(component):
    (component / "run.py").write_text("print(1, flush=True); input()", encoding="utf-8")
    code = (
        "import os, sys; sys.path.insert(0, 'src')\n"
        "from _utils.pipeline import warm; from _utils.warm import warm_starts\n"
        "with warm_starts(True):\n"
        f"    folder, variables = {str(component)!r}, {{**os.environ}}\n"
        "    process = warm.start_component('python run.py', folder, variables)\n"
        "    print(process.pid, process.stdout.readline(), flush=True)  # it has begun\n"
        "    process.wait()\n"
    )
    root = Path(warm.__file__).parents[3]
    variables = {name: value for name, value in os.environ.items() if name != "WARM_PARENTS"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, env=variables, **pipes) as owner:
        pid = int(owner.stdout.readline().split()[0])
        descendants = psutil.Process(owner.pid).children(recursive=True)
        assert pid in [each.pid for each in descendants]
        assert psutil.Process(pid).name() == "step"
        assert psutil.Process(pid).cmdline() == ["python", "run.py"]
        owner.kill()
        owner.stdin.close()
    _, alive = psutil.wait_procs(descendants, timeout=20)
    assert not alive


def test_parents_end_with_warm_starts(component):
    run(component, "")
    (parent,) = parents()
    outer = os.environ.pop("WARM_PARENTS")
    _, folder = outer.split()
    with warm_starts(True):
        run(component, "")
        assert len(parents()) == 2
    assert parents() == [parent]
    assert Path(folder).is_dir()
    with warm_starts(False):
        assert run(component, "") is None
    os.environ["WARM_PARENTS"] = outer


def test_only_libraries_are_imported_before(component):
    (component.parent / "_utils").mkdir()
    (component.parent / "_utils" / "helper.py").write_text("import csv, json", encoding="utf-8")
    (component / "own.py").write_text("from html import escape", encoding="utf-8")
    (component / "run.py").write_text(
        "from __future__ import annotations\nimport own\nfrom _utils import helper\n"
        "from . import own\ndef go():\n    import pandas\n",
        encoding="utf-8",
    )
    assert sorted(warm.imports_of(component)) == ["from html import escape", "import csv, json"]


@pytest.mark.slow
def test_libraries_work_after_the_fork_and_draw_other_numbers(component):
    source = """
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
x = np.random.rand(500, 500)
y = (x @ x).sum(axis=1)
forest = RandomForestRegressor(n_estimators=4, n_jobs=2).fit(x[:, :5], y)
pd.DataFrame(x[:, :3], columns=list("abc")).to_parquet("x.parquet")
assert len(pd.read_parquet("x.parquet")) == 500
print(forest.predict(x[:1, :5])[0] > 0, np.random.rand())
"""
    (code, first), (other_code, other) = run(component, source), run(component, source)
    assert (code, other_code) == (0, 0)
    assert first.startswith("True") and other.startswith("True") and first != other
