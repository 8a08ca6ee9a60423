"""Measure sweeps: parallel and serial, and compared with a bare joblib loop.

python benchmarks/sweep.py forests [jobs]     real forests: serial, parallel, and a bare loop
python benchmarks/sweep.py growth [jobs ...]  seconds per job for sweeps of several sizes
python benchmarks/sweep.py lost [jobs]        16 jobs at a time with SQLite: how many are lost
python benchmarks/sweep.py slurm [jobs]       real forests: SLURM compared with joblib

If MLFLOW_TRACKING_URI is set, that server is used instead of SQLite. Words after `--` are added to
the overrides of the sweeps: `-- hydra/launcher=submitit_slurm hydra.launcher.partition=debug`.
`slurm` starts two nodes and a server with PostgreSQL on this machine. Goals: serial divided by
parallel is at least 0.9 of the number of cores, parallel divided by bare is at most 1.5, and the
seconds per job do not depend on the number of jobs.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "src"), str(ROOT / "tests")]

BARE = """
import sys
import pandas as pd
from joblib import Parallel, delayed
sys.path.append("src")
from pathlib import Path
from _utils.tabular.contract import read_contract
from _utils.tabular.model import random_forest
from _utils.tabular.training import train

def train_one(max_features):
    contract = read_contract(Path("resources/data/fuel_economy.contract.yaml"))
    parameters = {"n_estimators": 100, "max_features": max_features, "random_state": 42}
    data = pd.read_parquet(sys.argv[1])
    return train(random_forest, contract, data, max_tfidf_features=100, parameters=parameters,
                 validation_size=0.2, seed=42)[2]

Parallel(n_jobs=-1)(delayed(train_one)(n) for n in range(1, int(sys.argv[2]) + 1))
"""


def seconds(command: list[str], folder: Path) -> float:
    start = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def prepare(folder: Path) -> None:
    """Make the training data of the forests."""
    steps = "main.steps='data_extraction,basic_cleaning,data_split'"
    seconds([sys.executable, "main.py", steps], folder)


def beyond_the_first(folder: Path, jobs: int, overrides: list[str]) -> float:
    """Seconds that a sweep takes beyond its first job, which pays for imports and the store."""
    command = [sys.executable, "main.py", "-m", "main.steps=train_random_forest"]

    def sweep(how_many: int) -> float:
        values = f"modeling.random_forest.max_features=range(1,{how_many + 1})"
        return seconds([*command, "main.reuse=false", values, *overrides], folder)

    first = sweep(1)
    return sweep(jobs) - first


def forests(folder: Path, jobs: int, overrides: list[str]) -> None:
    prepare(folder)
    paths = folder.glob("mlruns/**/train_data.parquet")
    data = str(next(path for path in paths if path.is_file()))
    (folder / "bare.py").write_text(BARE)
    bare = [seconds([sys.executable, "bare.py", data, str(n)], folder) for n in (1, jobs)]
    took = {
        "bare": bare[1] - bare[0],
        "parallel": beyond_the_first(folder, jobs, overrides),
        "serial": beyond_the_first(folder, jobs, ["hydra.launcher.n_jobs=1"]),
    }
    print({name: f"{value:.0f} s" for name, value in took.items()}, f"beyond the first of {jobs}")
    ratio = took["serial"] / took["parallel"]
    print(f"serial to parallel {ratio:.2f}, {ratio / os.cpu_count():.2f} of the cores")
    print(f"parallel to bare {took['parallel'] / took['bare']:.1f}")


def slurm(folder: Path, jobs: int, overrides: list[str]) -> None:
    """Compare SLURM and joblib, with as many jobs at a time and the same server."""
    from servers import PostgreSQL, TrackingServer
    from slurm import Slurm, lacking

    if reason := lacking():
        sys.exit(reason)
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug"]
    at_once = f"hydra.launcher.array_parallelism={os.cpu_count()}"
    with contextlib.ExitStack() as stack:
        database, cluster = PostgreSQL(), Slurm(folder.parent)
        stack.callback(database.stop)
        stack.callback(cluster.stop)
        cluster.start()
        url = database.url.replace("postgresql:", "postgresql+psycopg:")
        server = TrackingServer(folder.parent, url)
        stack.callback(server.stop)
        os.environ |= cluster.environment | {"MLFLOW_TRACKING_URI": server.url}
        prepare(folder)
        joblib = beyond_the_first(folder, jobs, overrides)
        on_slurm = beyond_the_first(folder, jobs, [*launcher, at_once, *overrides])
    print(f"SLURM {on_slurm:.0f} s, joblib {joblib:.0f} s beyond the first of {jobs}")
    print(f"SLURM to joblib {on_slurm / joblib:.2f}")


def small_sweep(folder: Path, jobs: int, *overrides: str) -> float:
    values = f"components.trial.parameters.x=range(1,{jobs + 1})"
    return seconds(
        [sys.executable, "main.py", "-m", "main.reuse=false", values, *overrides], folder
    )


def growth(folder: Path, sizes: list[int], overrides: list[str]) -> None:
    for jobs in sizes:
        first = small_sweep(folder, 1, *overrides)
        each = (small_sweep(folder, jobs, *overrides) - first) / (jobs - 1)
        print(f"{jobs} jobs: {each:.2f} s each beyond the first")


def lost(folder: Path, jobs: int, overrides: list[str]) -> None:
    from conftest import Store, store_of

    took = small_sweep(folder, jobs, "hydra.launcher.n_jobs=16", *overrides)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    store = Store(uri) if uri else store_of(folder)
    done = [
        job
        for job in store.children(store.pipeline())
        if job.info.status == "FINISHED" and "trial.score" in job.data.metrics
    ]
    print(f"{jobs} jobs, 16 at a time: {jobs - len(done)} lost, {took:.0f} s")


def main(what: str, numbers: list[int], overrides: list[str]) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else this would measure the compiler
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    from conftest import clone
    from small import make_small

    if uri:  # importing the tests' helpers removes it
        os.environ["MLFLOW_TRACKING_URI"] = uri
    with tempfile.TemporaryDirectory() as name:
        folder = clone(Path(name) / "clone")
        if what == "forests":
            forests(folder, *(numbers or [150]), overrides)
        elif what == "slurm":
            slurm(folder, *(numbers or [10]), overrides)
        elif what == "growth":
            growth(make_small(folder), numbers or [10, 150, 500], overrides)
        else:
            lost(make_small(folder), *(numbers or [64]), overrides)


if __name__ == "__main__":
    arguments, _, more = " ".join(sys.argv[1:]).partition(" -- ")
    kind, *sizes = arguments.split()
    main(kind, [int(size) for size in sizes], more.split())
