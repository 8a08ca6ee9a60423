"""What befalls a pipeline from outside: others at work, full disks, servers that go away."""

import subprocess
import sys
import time
from random import Random

import pytest
from conftest import Typed, store_of
from servers import Door

pytestmark = pytest.mark.slow


def test_two_pipelines_at_once_use_their_own_data(project):
    steps = "main.steps=[download,basic_cleaning,data_split] main.experiment_name=together"
    years = ["2012", "2021"]
    options = [f"data.file_url=resources/data/epa_fuel_economy_{year}.csv" for year in years]
    together = [Typed(project, f"python main.py {steps} {option}") for option in options]
    for typed in together:
        assert typed.end() == 0, typed.text
    store = store_of(project)
    pipelines = [run for run in store.runs("together") if run.info.run_name.startswith("pipeline:")]
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
    together = [Typed(project, command, MLFLOW_TRACKING_URI=database) for _ in range(2)]
    for typed in together:
        assert typed.end() == 0, typed.text


class TestServer:
    """A tracking server that goes away in the middle."""

    COMMAND = "python main.py main.steps=[download,basic_cleaning] main.reuse=false"

    @pytest.fixture
    def door(self, tracking_server):
        """The way to the server, which the test opens and shuts."""
        door = Door(tracking_server)
        door.open()
        yield door
        door.shut()

    def test_it_comes_back_after_10_seconds(self, project, door):
        typed = Typed(project, self.COMMAND, MLFLOW_TRACKING_URI=door.url)
        typed.until("2/2 basic_cleaning (main.reuse is false)")
        door.shut()
        time.sleep(10)
        door.open()
        assert typed.end() == 0, typed.text

    def test_it_stays_away(self, project, door):
        impatient = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        server = {"MLFLOW_TRACKING_URI": door.url}
        typed = Typed(project, self.COMMAND, **server, **impatient)
        typed.until("2/2 basic_cleaning")
        door.shut()
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
        assert not [path for path in disk.rglob("raw_data.parquet") if path.is_file()]
        assert remount("size=100m") == 0
        assert Typed(project, f"python main.py {options}").end() == 0

    def test_full_while_downloading(self, project, small_disk, big_file, tracking_server):
        disk, _ = small_disk
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
        assert f"{disk} is not writable: correct its owner" in typed.text
        assert "Traceback" not in typed.text
