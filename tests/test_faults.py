"""What befalls a pipeline: signals, kills, two at once, full disks, servers that go away."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import mlflow
import pandas as pd
import psutil
import pytest
from conftest import Typed, clone, store_of

from _utils.artifacts import digest_of, outputs_of
from _utils.pipeline.processes import is_alive

pytestmark = pytest.mark.slow

MLFLOW_RUN = "mlflow run . --env-manager local"


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
    patience = time.monotonic() + 5
    while any(map(is_alive, at_work)) and time.monotonic() < patience:
        time.sleep(0.05)
    assert at_work and not any(map(is_alive, at_work))
    assert typed.end() == status, typed.text
    assert "Traceback" not in typed.text
    assert f"{signal.Signals(signum).name}: what was at work is ended" in typed.text
    store = store_of(stubborn)
    pipeline = store.pipeline()
    assert pipeline.info.status == "KILLED"
    cleaning = store.children(pipeline)[-1]
    assert (cleaning.info.run_name, cleaning.info.status) == ("basic_cleaning", "KILLED")
    assert "log.txt" in store.files(cleaning)


class TestKilled:
    """With kill -9, so that nothing can be tidied up; the next run does that."""

    @pytest.mark.parametrize("whom", ["main.py", "all", "mlflow"])
    def test_the_next_run_closes_what_was_left(self, stubborn, whom):
        typed = Typed(stubborn, f"{MLFLOW_RUN} -P steps=download,basic_cleaning")
        typed.until("at work")
        at_work = [each for each in typed.tree() if "time.sleep(600)" in " ".join(each.cmdline())]
        typed.signal(signal.SIGKILL, whom)
        typed.process.wait()
        after = Typed(stubborn, "python main.py main.steps=download")
        assert after.end() == 0, after.text
        assert at_work and not any(map(is_alive, at_work))
        store = store_of(stubborn)
        runs = [*store.runs(), *store.runs("Default")]
        assert not [run.info.run_name for run in runs if run.info.status == "RUNNING"]
        cleanings = store.runs(filter_string="attributes.run_name = 'basic_cleaning'")
        assert {run.info.status for run in cleanings} == {"KILLED"}
        typed.process.stdout.close()

    def test_a_launcher_killed_before_main_py_is_closed_too(self, stubborn):
        typed = Typed(stubborn, MLFLOW_RUN)
        typed.until("Running command")
        typed.signal(signal.SIGKILL, "all")
        typed.end()
        store = store_of(stubborn)
        assert store.runs("Default")[0].info.status == "RUNNING"
        after = Typed(stubborn, "python main.py main.steps=download")
        assert after.end() == 0, after.text
        assert "Closed 1 runs" in after.text
        assert store.runs("Default")[0].info.status == "KILLED"

    def test_a_component_that_is_killed_fails_with_its_log(self, project, tmp_path):
        steps = "main.steps=[basic_cleaning,data_check] main.rerun=[basic_cleaning]"
        typed = Typed(project, f"python main.py {steps}")
        typed.until("1/2 basic_cleaning")
        while not [each for each in typed.tree() if "run.py" in each.cmdline()]:
            assert typed.process.poll() is None
        typed.signal(signal.SIGKILL, "run.py")
        assert typed.end() == 1
        assert "'basic_cleaning' failed with exit code 137 (signal 9)" in typed.text
        assert "data_check │ not started" in " ".join(typed.text.split())


def test_a_failure_tells_the_last_lines_the_log_and_how_to_go_on(stubborn, tmp_path):
    script = stubborn / "src/basic_cleaning/run.py"
    script.write_text("for number in range(100):\n    print('line', number)\nexit(3)\n")
    command = f"{MLFLOW_RUN} -P steps=download,basic_cleaning,data_check"
    typed = Typed(stubborn, command)
    assert typed.end() == 1
    script.write_text(STUBBORN)
    assert "Component 'basic_cleaning' failed with exit code 3. Its last lines:" in typed.text
    assert "  | line 85\n" in typed.text and "  | line 84\n" not in typed.text
    assert f"this continues from here: {command}\n" in typed.text
    store = store_of(stubborn)
    failed = store.children(store.pipeline())[-1]
    assert store.text(failed, "log.txt", tmp_path).startswith("line 0\nline 1\n")
    assert failed.info.artifact_uri + "/log.txt" in typed.text


def test_two_pipelines_at_once_use_their_own_data(project):
    steps = "main.steps=[download,basic_cleaning,data_split] main.experiment_name=together"
    years = ["2012", "2021"]
    options = [f"data.file_url=resources/data/epa_fuel_economy_{year}.csv" for year in years]
    together = [Typed(project, f"python main.py {steps} {option}") for option in options]
    for typed in together:
        assert typed.end() == 0, typed.text
    store = store_of(project)
    pipelines = [run for run in store.runs("together") if run.info.run_name == "together"]
    assert len(pipelines) == 2
    rows = set()
    for pipeline in pipelines:
        extraction, cleaning, split = store.children(pipeline, "together")
        raw = extraction.data.tags["output.raw_data.parquet"]
        assert cleaning.data.tags["input.raw_data.parquet"] == raw
        clean = cleaning.data.tags["output.clean_data.parquet"]
        assert split.data.tags["input.clean_data.parquet"] == clean
        rows.add(extraction.data.metrics["rows"])
    assert rows == {1129, 1108}


def test_a_fresh_store_opened_by_many_at_once(tmp_path, project):
    database = f"sqlite:///{tmp_path}/mlflow.db"
    command = "python main.py main.steps=download"
    together = [Typed(project, command, MLFLOW_TRACKING_URI=database) for _ in range(4)]
    for typed in together:
        assert typed.end() == 0, typed.text


class TestServer:
    """A tracking server that goes away in the middle."""

    COMMAND = "python main.py main.steps=[download,basic_cleaning] main.reuse=false"

    def test_it_comes_back_after_20_seconds(self, project, tracking_server):
        tracking_server.start()
        typed = Typed(project, self.COMMAND, MLFLOW_TRACKING_URI=tracking_server.url)
        typed.until("2/2 basic_cleaning")
        tracking_server.stop()
        time.sleep(20)
        tracking_server.start()
        assert typed.end() == 0, typed.text
        tracking_server.stop()

    def test_it_stays_away(self, project, tracking_server):
        tracking_server.start()
        impatient = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        server = {"MLFLOW_TRACKING_URI": tracking_server.url}
        typed = Typed(project, self.COMMAND, **server, **impatient)
        typed.until("2/2 basic_cleaning")
        tracking_server.stop()
        assert typed.end() == 1
        assert "A server does not answer" in typed.text and "Traceback" not in typed.text
        never = Typed(project, self.COMMAND, **server, **impatient)
        assert never.end() == 1
        assert "A server does not answer" in never.text and "Traceback" not in never.text


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte, and a function that remounts it."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk]).returncode

    if sys.platform != "linux" or mount("size=1m") != 0:
        pytest.skip("only root can mount a small disk, on Linux")
    yield disk, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    """A CSV that takes more than a megabyte also as parquet."""
    file = tmp_path_factory.mktemp("big") / "big.csv"
    random = Random(1)
    rows = [f"{random.random()},{random.random()}" for _ in range(100_000)]
    file.write_text("\n".join(["a,b", *rows]))
    return file


class TestDisk:
    def test_full_while_publishing(self, project, small_disk, big_file):
        disk, remount = small_disk
        store = store_of(project)
        store.client.create_experiment("full", artifact_location=disk.as_uri())
        options = f"main.steps=download data.file_url={big_file} main.experiment_name=full"
        full = Typed(project, f"python main.py {options}")
        assert full.end() == 1
        assert "Artifact 'raw_data.parquet' could not be published to" in full.text
        assert "No space left on device" in full.text and "Traceback" not in full.text
        (run,) = store.children(store.pipeline("full"), "full")
        assert not [tag for tag in run.data.tags if tag.startswith("output.")]
        assert not list(disk.rglob("raw_data.parquet"))
        assert remount("size=100m") == 0
        assert Typed(project, f"python main.py {options}").end() == 0

    def test_full_while_downloading(self, project, small_disk, big_file, tracking_server):
        disk, _ = small_disk
        tracking_server.start()
        server = {"MLFLOW_TRACKING_URI": tracking_server.url}
        publish = f"python main.py main.steps=download data.file_url={big_file}"
        assert Typed(project, publish, **server).end() == 0
        full = Typed(project, "python main.py main.steps=eda", TMPDIR=str(disk), **server)
        assert full.end() == 1
        assert "No space left on device" in full.text
        assert "Free some space there, then run the same command again" in full.text

    def test_unwritable(self, project, small_disk):
        disk, remount = small_disk
        assert remount("ro") == 0
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{disk}/mlflow.db"}
        typed = Typed(project, "python main.py", **store)
        assert typed.end() == 1
        assert "Read-only file system" in typed.text and "Make it writable" in typed.text
        assert "Traceback" not in typed.text


def test_killed_at_30_random_moments_it_ends_with_the_same_artifacts(project, tmp_path):
    folder, random, killed = clone(tmp_path / "clone"), Random(30), []
    for number in range(30):
        # Other values leave work to do: what was finished before is reused.
        limit = f"cleaning.max_comb_mpg={random.choice([70, 70, 68])}"
        typed = Typed(folder, f"python main.py {limit}" if number % 5 else MLFLOW_RUN)
        whom = random.choice(["all", "main.py", "_artifact="])  # the last is a component
        if whom == "_artifact=" or number % 2:
            typed.until(f"{random.choice([1, 1, 2, 3, 4, 5, 6, 7])}/7 ")
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
        if len(children) == 7:
            return {each.name: each for run in children for each in outputs_of(run)}
    raise AssertionError("no pipeline ran to the end")


def local(artifact):
    return Path(artifact.uri.removeprefix("file://"))
