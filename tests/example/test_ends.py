"""How a pipeline ends early: signals, kill -9, and components that fail."""

import signal
from pathlib import Path

import psutil
import pytest
from conftest import Typed, clone, store_of, type_in
from small import make_pipeline

from _utils.artifacts.index import outputs_of
from _utils.pipeline.processes import is_alive

pytestmark = pytest.mark.slow

# Adds its name to a text. At the moment that is in the file `stop` it stays until it is ended.
LINK = """
import sys, tempfile, time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
import mlflow
from _utils.artifacts import log_artifact, use_artifact

*source, target = sys.argv[1:]
name, _, _ = target.partition(".")
stop = Path(__file__).parents[2] / "outputs/stop"

def reach(moment):
    print(name, moment, flush=True)
    if stop.exists() and stop.read_text() == f"{name} {moment}":
        time.sleep(600)

with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
    text = use_artifact(*source).read_text() if source else ""
    reach("has begun")
    (Path(folder) / target).write_text(f"{text}{name} ")
    log_artifact(Path(folder) / target, type="text")
    reach("has published")
"""
# Runs until it is ended, with a child that does not want to.
STUBBORN = """
import subprocess, sys
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
print("at work", flush=True)
child.wait()
"""
FAILING = "for number in range(100):\n    print('line', number)\nexit(3)\n"
TEXTS = {"one.txt": "one ", "two.txt": "one two ", "three.txt": "one two three "}
COMPONENTS = {
    "one": (LINK, {"output_artifact": ("output", "one.txt")}),
    "two": (
        LINK,
        {
            "input_artifact": ("artifact", "one.txt:latest"),
            "output_artifact": ("output", "two.txt"),
        },
    ),
    "three": (
        LINK,
        {
            "input_artifact": ("artifact", "two.txt:latest"),
            "output_artifact": ("output", "three.txt"),
        },
    ),
    "failing": (FAILING, {}),
    "stubborn": (STUBBORN, {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone in which three components make a text, and two others end badly."""
    return make_pipeline(clone(tmp_path_factory.mktemp("ends")), COMPONENTS, [*COMPONENTS][:3])


@pytest.mark.parametrize(
    ("command", "signum", "whom", "status"),
    [
        ("python main.py --steps=stubborn", signal.SIGINT, "all", 130),
        ("python main.py --steps=stubborn", signal.SIGTERM, "first", 143),
        # Its own end is MLflow's affair: at Ctrl-C it says "Aborted!".
        ("mlflow run . --env-manager local -P steps=stubborn", signal.SIGINT, "all", 1),
        ("mlflow run . --env-manager local -P steps=stubborn", signal.SIGTERM, "first", 143),
    ],
)
def test_a_signal_ends_all_that_is_at_work(folder, command, signum, whom, status):
    typed = Typed(folder, command)
    typed.until("at work")
    at_work = [psutil.Process(each.pid) for each in typed.at_work("time.sleep(600)")]
    typed.signal(signum, whom)
    assert typed.end() == status, typed.text
    assert at_work
    psutil.wait_procs(at_work, timeout=60)
    assert not any(map(is_alive, at_work))
    assert "Traceback" not in typed.text
    assert f"Stopped by {signal.Signals(signum).name}. To continue: `{command}`" in typed.text
    store = store_of(folder)
    pipeline = store.pipeline()
    assert pipeline.info.status == "KILLED"
    (component,) = store.children(pipeline)
    assert (component.info.run_name, component.info.status) == ("stubborn", "KILLED")
    assert "log.txt" in store.files(component)


def test_a_reader_that_goes_away_ends_it(folder):
    command = "set -o pipefail; timeout 60 python main.py --steps=stubborn 2>&1 | head -1"
    ran = type_in(folder, command)
    assert ran.returncode == 141
    assert ran.stdout.startswith("1/1 stubborn") and len(ran.stdout.splitlines()) == 1
    store = store_of(folder)
    pipeline = store.pipeline()
    assert {run.info.status for run in [pipeline, *store.children(pipeline)]} == {"KILLED"}


def test_a_failure_is_told_once_with_the_log_and_how_to_go_on(folder, tmp_path):
    command = "python main.py --steps=failing,stubborn"
    typed = Typed(folder, command)
    assert typed.end() == 1
    assert "Component 'failing' failed with exit code 3.\nIts whole log: " in typed.text
    assert typed.text.count("line 99\n") == 1
    assert f"\nFix the cause, then continue with: `{command}`\n" in typed.text
    store = store_of(folder)
    (failed,) = store.children(store.pipeline())
    assert store.text(failed, "log.txt", tmp_path).startswith("line 0\nline 1\n")
    assert failed.info.artifact_uri + "/log.txt" in typed.text


def unfinished(store):
    """The ids of the runs that are not closed."""
    runs = [*store.runs(), *store.runs("Default")]
    return {run.info.run_id for run in runs if run.info.status == "RUNNING"}


def test_killed_four_times_it_ends_with_the_same_artifacts(folder):
    """With kill -9, so that nothing can be tidied up; the next run does that."""
    store, stop = store_of(folder), folder / "outputs/stop"
    at_work, left = [], set()
    for whom, moment in [
        ("main.py", "one has begun"),
        ("all", "one has published"),
        ("mlflow", "two has published"),
        ("run.py", "three has begun"),
    ]:
        stop.write_text(moment)
        command = "mlflow run . --env-manager local" if whom == "mlflow" else "python main.py"
        typed = Typed(folder, command)
        typed.until(moment)
        assert not any(map(is_alive, at_work))
        assert not left & unfinished(store)
        at_work, left = typed.at_work("run.py"), unfinished(store)
        assert at_work and len(left) >= 2
        typed.signal(signal.SIGKILL, whom)
        if whom == "run.py":
            assert typed.end() == 1
            assert "'three' failed with exit code 137 (signal 9)" in typed.text
        else:
            typed.process.wait()
            typed.process.stdout.close()
    stop.unlink()
    last = Typed(folder, "python main.py")
    assert last.end() == 0, last.text
    assert not unfinished(store)
    runs = store.children(store.pipeline())
    assert [run.info.run_name for run in runs] == ["one", "two", "three"]
    made = {each.name: each for run in runs for each in outputs_of(run)}
    texts = {
        name: Path(each.uri.removeprefix("file://")).read_text(encoding="utf-8")
        for name, each in made.items()
    }
    assert texts == TEXTS
