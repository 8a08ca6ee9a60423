"""Measure a run of the pipeline in which nothing changed, with a small and with a large store.

python benchmarks/reuse.py [rounds]

Both results are ratios of seconds. The first round is not counted.

1. `mlflow run .` in a copy of this repository where the pipeline ran once before, compared with a
   project whose only component does nothing. Goal: at most 1.25.
2. `python main.py` with 10,000 older finished runs in the experiment, compared with the runs of one
   pipeline. Goal: under 1.5.
"""

import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import yaml
from mlflow import MlflowClient
from overhead import ROOT, seconds

STEPS = yaml.safe_load((ROOT / "config.yaml").read_text())["main"]["execute_steps"]
RUNS = len(STEPS) + 1  # of one pipeline: its own run, and one for each component
OLDER = 1250  # older pipelines in the large store
REUSED = OLDER * (RUNS - 1) - OLDER * RUNS // 2  # so that half of their runs have a cache key
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs")
HOUR = 3_600_000  # in milliseconds, like all times in the store
NAMES = ("unchanged", "plain", "small_store", "large_store")

PLAIN_PROJECT = "name: plain\nentry_points: {main: {command: python main.py}}\n"
PLAIN_DRIVER = """
import mlflow
with mlflow.start_run():
    mlflow.run("src/step", env_manager="local")
"""
PLAIN_COMPONENT = "import mlflow\nwith mlflow.start_run(): pass\n"


def copy_repository(folder: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).is_file():  # git lists a deleted file until the deletion is committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def make_plain_project(folder: Path) -> None:
    for place, code in ((folder, PLAIN_DRIVER), (folder / "src/step", PLAIN_COMPONENT)):
        place.mkdir(parents=True)
        (place / "MLproject").write_text(PLAIN_PROJECT)
        (place / "main.py").write_text(code)


def older(value: object, column: str, number: int) -> object:
    """A value of the store as an older pipeline would have it: an earlier time, another id."""

    def other_id(match: re.Match) -> str:  # a version remains the beginning of its digest
        return sha256(f"{number} {match[0][:12]}".encode()).hexdigest()[: len(match[0])]

    if isinstance(value, str):
        return re.sub("[0-9a-f]{12,64}", other_id, value)
    is_time = value and (column.endswith("_time") or column == "timestamp")
    return value - number * HOUR if is_time else value


def add_older_runs(database: Path) -> None:
    with closing(sqlite3.connect(database)) as store, store:
        for table in TABLES:
            selected = store.execute(f"SELECT * FROM {table}")
            columns = [column for column, *_ in selected.description]
            real = selected.fetchall()
            rows = [
                [older(value, column, number) for value, column in zip(row, columns, strict=True)]
                for number in range(OLDER, 0, -1)  # the rows of a run are adjacent, as in reality
                for row in real
            ]
            marks = ", ".join("?" * len(columns))
            store.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        # The first by digest are a mix of all components and times. The real runs are not changed
        keys = "SELECT rowid FROM tags WHERE key = 'cache_key'"
        added = f"{keys} ORDER BY rowid LIMIT -1 OFFSET {RUNS - 1}"
        some = f"{keys} AND rowid IN ({added}) ORDER BY value LIMIT {REUSED}"
        store.execute(f"UPDATE tags SET key = 'reused_from' WHERE rowid IN ({some})")
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("development").experiment_id
    seen = client.search_runs([experiment], "status = 'FINISHED'", max_results=50_000)
    with_key = sum("cache_key" in run.data.tags for run in seen)
    expected = (OLDER * RUNS + RUNS, OLDER * RUNS // 2 + RUNS - 1)
    assert (len(seen), with_key) == expected, "The tables of MLflow's store have changed"


def reused(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        return store.execute("SELECT count(*) FROM tags WHERE key = 'reused_from'").fetchone()[0]


def compare(command: list[str], one: Path, other: Path, rounds: int, goal: str) -> None:
    ratios = []
    for number in range(rounds + 1):
        of_one, of_other = seconds(command, one), seconds(command, other)
        if number == 0:
            continue  # the first round compiles, and creates the plain project's store
        ratios.append(of_one / of_other)
        print(f"{one.name} {of_one:.2f} s  {other.name} {of_other:.2f} s  ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}, the goal is {goal}\n")


def main(rounds: int) -> None:
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # The first would measure the compiler; the others would choose another store or experiment
    for variable in ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory() as parent:
        ours, plain, small, large = (Path(parent) / name for name in NAMES)
        copy_repository(ours)
        make_plain_project(plain)
        seconds([sys.executable, "main.py"], ours)
        for copy in (small, large):
            shutil.copytree(ours, copy)  # its store refers to the artifacts of the original
        add_older_runs(large / "mlflow.db")
        before = {folder: reused(folder) for folder in (ours, small, large)}
        launch = ["mlflow", "run", ".", "--env-manager", "local"]
        compare(launch, ours, plain, rounds, "at most 1.25")
        compare([sys.executable, "main.py"], large, small, rounds, "under 1.5")
        for folder, number in before.items():
            assert reused(folder) - number == (RUNS - 1) * (rounds + 1), "A component ran again"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
