"""How a pipeline ends early: signals, kill -9, and components that fail."""

import signal
import time
from pathlib import Path
from random import Random

import mlflow
import pandas as pd
import psutil
import pytest
from conftest import Typed, clone, store_of, type_in
from documents import documented

from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import outputs_of
from _utils.pipeline.processes import is_alive

pytestmark = pytest.mark.slow

MLFLOW_RUN = documented("README.md", "mlflow run . --env-manager local")

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
    """A clone with raw data, whose basic_cleaning hangs."""
    folder = clone(tmp_path_factory.mktemp("stubborn"))
    (folder / "src/basic_cleaning/run.py").write_text(STUBBORN)
    download = Typed(folder, "python main.py main.steps=download")
    assert download.end() == 0, download.text
    return folder


@pytest.mark.parametrize(
    ("command", "signum", "whom", "status"),
    [
        ("python main.py main.steps=basic_cleaning", signal.SIGINT, "all", 130),
        ("python main.py main.steps=basic_cleaning", signal.SIGTERM, "first", 143),
        # Its own end is MLflow's affair: at Ctrl-C it says "Aborted!".
        (f"{MLFLOW_RUN} -P steps=basic_cleaning", signal.SIGINT, "all", 1),
        (f"{MLFLOW_RUN} -P steps=basic_cleaning", signal.SIGTERM, "first", 143),
    ],
)
def test_a_signal_ends_all_that_is_at_work(stubborn, command, signum, whom, status):
    typed = Typed(stubborn, command)
    typed.until("at work")
    at_work = typed.at_work("time.sleep(600)")
    typed.signal(signum, whom)
    patience = time.monotonic() + 5
    while any(map(is_alive, at_work)) and time.monotonic() < patience:
        time.sleep(0.05)
    assert at_work and not any(map(is_alive, at_work))
    assert typed.end() == status, typed.text
    assert "Traceback" not in typed.text
    assert f"Stopped by {signal.Signals(signum).name}. To continue: `{command}`" in typed.text
    store = store_of(stubborn)
    pipeline = store.pipeline()
    assert pipeline.info.status == "KILLED"
    cleaning = store.children(pipeline)[-1]
    assert (cleaning.info.run_name, cleaning.info.status) == ("basic_cleaning", "KILLED")
    assert "log.txt" in store.files(cleaning)


def test_a_reader_that_goes_away_ends_it(stubborn):
    command = "set -o pipefail; timeout 60 python main.py main.steps=basic_cleaning 2>&1 | head -1"
    ran = type_in(stubborn, command)
    assert ran.returncode == 141
    assert ran.stdout.startswith("1/1 basic_cleaning") and len(ran.stdout.splitlines()) == 1
    store = store_of(stubborn)
    pipeline = store.pipeline()
    assert {run.info.status for run in [pipeline, *store.children(pipeline)]} == {"KILLED"}


def running(store):
    """The names of the runs that are not closed, by their ids."""
    runs = [*store.runs(), *store.runs("Default")]
    return {run.info.run_id: run.info.run_name for run in runs if run.info.status == "RUNNING"}


class TestKilled:
    """With kill -9, so that nothing can be tidied up; the next run does that."""

    def test_the_next_run_closes_what_was_left(self, stubborn):
        """The next one is killed as well, somewhere else."""
        store = store_of(stubborn)
        at_work, left = [], {}

        def check_that_it_is_closed():
            assert not any(map(is_alive, at_work))
            assert {store.client.get_run(run_id).info.status for run_id in left} <= {"KILLED"}

        for whom in ["mlflow", "main.py", "all"]:
            typed = Typed(stubborn, f"{MLFLOW_RUN} -P steps=basic_cleaning")
            typed.until("at work")
            check_that_it_is_closed()
            at_work = typed.at_work("time.sleep(600)")
            typed.signal(signal.SIGKILL, whom)
            typed.process.wait()
            typed.process.stdout.close()
            left = running(store)
            assert at_work
            if whom != "mlflow":  # at whose end main.py closes its runs itself
                assert len(left) > 1 and "development" in left.values()

        closed = len(running(store))
        after = Typed(stubborn, "python main.py main.steps=download")
        assert after.end() == 0, after.text
        assert f"Marked {closed} interrupted runs as KILLED." in after.text
        check_that_it_is_closed()
        assert not running(store)
        cleanings = store.runs(filter_string="attributes.run_name = 'basic_cleaning'")
        assert {run.info.status for run in cleanings} == {"KILLED"}

    def test_a_component_that_is_killed_fails_with_its_log(self, project, tmp_path):
        steps = "main.steps=[basic_cleaning,data_check] main.rerun=[basic_cleaning]"
        typed = Typed(project, f"python main.py {steps}")
        typed.until("1/2 basic_cleaning")
        while not typed.at_work("run.py"):
            assert typed.process.poll() is None
        typed.signal(signal.SIGKILL, "run.py")
        assert typed.end() == 1
        assert "'basic_cleaning' failed with exit code 137 (signal 9)" in typed.text
        assert "data_check │ not started" in " ".join(typed.text.split())


def test_a_failure_is_told_once_with_the_log_and_how_to_go_on(stubborn, tmp_path):
    script = stubborn / "src/basic_cleaning/run.py"
    script.write_text("for number in range(100):\n    print('line', number)\nexit(3)\n")
    command = f"{MLFLOW_RUN} -P steps=basic_cleaning,data_check"
    typed = Typed(stubborn, command)
    assert typed.end() == 1
    script.write_text(STUBBORN)
    assert "Component 'basic_cleaning' failed with exit code 3.\nIts whole log: " in typed.text
    assert typed.text.count("line 99\n") == 1
    assert f"\nFix the cause, then continue with: `{command}`\n" in typed.text
    store = store_of(stubborn)
    failed = store.children(store.pipeline())[-1]
    assert store.text(failed, "log.txt", tmp_path).startswith("line 0\nline 1\n")
    assert failed.info.artifact_uri + "/log.txt" in typed.text


# All but eda, a third of the time: it publishes nothing.
STEPS = ["data_extraction", "basic_cleaning", "data_check"]
STEPS += ["data_split", "train_random_forest", "evaluation"]
# Who is killed, and from which component on; the last is the process of a component.
KILLS = [
    *[("all", step) for step in (None, STEPS[0], STEPS[2], STEPS[4])],
    *[("main.py", step) for step in (None, STEPS[1], STEPS[3], STEPS[5])],
    *[("_artifact=", step) for step in (STEPS[1], STEPS[2], STEPS[3], STEPS[4])],
]


def test_killed_at_12_random_moments_it_ends_with_the_same_artifacts(project, tmp_path):
    folder, random, killed = clone(tmp_path / "clone"), Random(30), []
    config = (folder / "config.yaml").read_text()
    assert "  steps: all\n" in config
    steps = f"  steps: [{', '.join(STEPS)}]\n"
    (folder / "config.yaml").write_text(config.replace("  steps: all\n", steps))
    for number, (whom, step) in enumerate(random.sample(KILLS, len(KILLS))):
        # Other values leave work to do: what was finished before is reused.
        limit = f"cleaning.max_comb_mpg={random.choice([70, 70, 68])}"
        typed = Typed(folder, f"python main.py {limit}" if number % 6 else MLFLOW_RUN)
        if step:
            typed.until(f"/{len(STEPS)} {step} ")
        while whom == "_artifact=" and not typed.at_work(whom) and typed.process.poll() is None:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 2.5))
        try:
            typed.signal(signal.SIGKILL, whom)
        except (IndexError, psutil.NoSuchProcess):  # there is none at this moment
            whom = "all"
            typed.signal(signal.SIGKILL, whom)
        killed.append(whom)
        if whom == "_artifact=":
            typed.end()  # the pipeline tells of the failure, and ends
        else:
            typed.signal(signal.SIGKILL, "first")
            typed.process.wait()
            typed.process.stdout.close()
    assert {*killed} == {"all", "main.py", "_artifact="}
    last = Typed(folder, "python main.py")
    assert last.end() == 0, last.text

    disturbed, undisturbed = store_of(folder), store_of(project)
    assert not disturbed.runs(filter_string="attributes.status = 'RUNNING'")
    published = [each for run in disturbed.runs() for each in finished_outputs(run)]
    assert published
    for artifact in published:
        assert digest_of(local(artifact)) == artifact.digest
    whole = [artifacts_by_name(store) for store in (disturbed, undisturbed)]
    models = [mlflow.sklearn.load_model(str(local(each.pop("random_forest")))) for each in whole]
    versions = [{name: each.version for name, each in found.items()} for found in whole]
    for each in versions:  # of what the killed pipelines do not make
        for name in ("predictions.parquet", "rejected.parquet"):
            each.pop(name, None)
    assert versions[0] == versions[1] and len(versions[0]) == 4
    cars = pd.read_parquet(local(whole[0]["test_data.parquet"]))
    one, other = (model.predict(cars) for model in models)
    assert (one == other).all()


def finished_outputs(run):
    return outputs_of(run) if run.info.status == "FINISHED" else []


def artifacts_by_name(store):
    """What the first pipeline with all components made, the newest first."""
    for pipeline in store.runs(filter_string="attributes.status = 'FINISHED'"):
        children = store.children(pipeline)
        if {*STEPS} <= {run.info.run_name for run in children}:
            return {each.name: each for run in children for each in outputs_of(run)}
    raise AssertionError("no pipeline ran to the end")


def local(artifact):
    return Path(artifact.uri.removeprefix("file://"))
