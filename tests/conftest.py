"""What tests of the whole share: a clean clone, commands typed in it, and its tracking store."""

import contextlib
import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import yaml
from filelock import FileLock
from hypothesis import settings

# MLflow takes seconds to import, and the process that hands tests to the workers needs none of it:
# what uses it imports it.

# Most garbage collections while modules are imported find nothing
gc.disable()

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = yaml.safe_load((ROOT / "config.yaml").read_text())["main"]["execute_steps"] or []

# Set on some CI; it would make every import of every process compile anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
of_mlflow = ["MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"]
of_make = ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MLFLOW_LOGGING_LEVEL"]
for variable in [*of_mlflow, *of_make]:
    os.environ.pop(variable, None)
# How long an example takes says nothing on a machine that is busy
settings.register_profile("tests", deadline=None, max_examples=10)
settings.load_profile("tests")
# What a user's shell has; tests that use MLflow in this process change os.environ.
ENVIRONMENT = dict(os.environ)


# Files that take long, the longest first; the last are those of `make test-fast`
LONGEST = ["environments", "main", "typed", "reuse", "faults", "story", "ends", "wandb", "sweep"]
LONGEST += ["contract", "cookiecutter", "capabilities", "new_project", "stateful"]
LONGEST += ["plan", "registry", "artifacts", "scoring", "config", "model"]
SLOW = {"slow", "nightly"}


def pytest_cmdline_main() -> int | None:
    """On Windows all tests read and write files as UTF-8, as they do elsewhere."""
    if os.name != "nt" or sys.flags.utf8_mode:
        return None
    environment = {**os.environ, "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    return subprocess.run(command, env=environment).returncode


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then others with slow tests: so the workers end together."""
    slow = {item.path for item in items if SLOW & {mark.name for mark in item.iter_markers()}}
    order = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (order.get(item.path.name, len(order)), item.path not in slow))


def pytest_collection_finish() -> None:
    """What was imported stays: Python need not look through all of it for garbage again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)
    gc.enable()


def clone(folder: Path, store: bool = False) -> Path:
    """A git repository at `folder` with what a clone of this one would hold, tagged 1.0.0.

    With `store` it also has an empty tracking store, which saves the first command the time to
    make one.
    """
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    # A project of one's own may have its data beside the code, where git ignores them
    data = (yaml.safe_load((ROOT / "config.yaml").read_text()).get("data") or {}).get(
        "file_url", ""
    )
    if (ROOT / data).is_file() and not (folder / data).exists():
        (folder / data).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / data, folder / data)
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    git("add", "--all", cwd=folder)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    git(*author, "commit", "--quiet", "--message=clone", cwd=folder)
    git("tag", "1.0.0", cwd=folder)
    if store:
        add_store(folder)
    return folder


def add_store(folder: Path, artifacts: str = "") -> str:
    """Put an empty tracking store into the folder, a copy of one; returns its URI.

    MLflow takes one to two seconds to make the tables.
    """
    import mlflow
    from sqlalchemy.engine import URL

    ready = ROOT / ".pytest_cache" / f"mlflow-{mlflow.__version__}.db"
    ready.parent.mkdir(exist_ok=True)
    with FileLock(f"{ready}.lock"):
        if not ready.exists():
            half = ready.with_suffix(".half")
            half.unlink(missing_ok=True)
            mlflow.MlflowClient(f"sqlite:///{half}").search_experiments()
            # Not `half` itself, which MLflow keeps open, so that Windows cannot rename it
            Path(shutil.copy(half, half.with_suffix(".whole"))).rename(ready)
    shutil.copy(ready, folder / "mlflow.db")
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        place = f"{artifacts or folder / 'mlruns'}/0"
        database.execute("UPDATE experiments SET artifact_location = ?", [place])
    return str(URL.create("sqlite", database=str(folder / "mlflow.db")))


def not_on_windows(reason: str) -> pytest.MarkDecorator:
    """The mark of a test that cannot pass on Windows, for this reason."""
    return pytest.mark.skipif(os.name == "nt", reason=f"Windows: {reason}")


NO_LINKS = not_on_windows("links need special rights")


def needs(program: str) -> None:
    """Skip the test that is running if a program is missing, as bash is without Git for Windows."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not on the PATH")


def git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


def type_in(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a command as a user types it into a shell, with this test's environment activated."""
    needs("bash")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**ENVIRONMENT, "PATH": path, **variables}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
            self.at_work(whom)[0].send_signal(signum)

    def at_work(self, told: str) -> list[psutil.Process]:
        """Those of its processes whose command line holds this text."""
        first, found = psutil.Process(self.process.pid), []
        for each in [first, *first.children(recursive=True)]:
            # A process may end while it is looked at
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [each] * (told in " ".join(each.cmdline()))
        return found


class Store:
    """Reads the runs of a tracking store, the newest first."""

    def __init__(self, uri: str):
        from mlflow import MlflowClient

        self.client = MlflowClient(uri)

    def runs(self, experiment: str = "development", filter_string: str = "") -> list:
        found = self.client.get_experiment_by_name(experiment)
        return self.client.search_runs([found.experiment_id], filter_string) if found else []

    def pipeline(self, experiment: str = "development"):
        """The newest run that is nobody's child."""
        return next(
            run for run in self.runs(experiment) if "mlflow.parentRunId" not in run.data.tags
        )

    def children(self, parent, experiment: str = "development") -> list:
        """The runs below one, in the order in which they were started."""
        of_parent = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        return self.runs(experiment, of_parent)[::-1]

    def files(self, run, folder: str | None = None) -> set[str]:
        return {file.path for file in self.client.list_artifacts(run.info.run_id, folder)}

    def text(self, run, file: str, folder: Path) -> str:
        return Path(self.client.download_artifacts(run.info.run_id, file, folder)).read_text(
            encoding="utf-8"
        )


def store_of(folder: Path) -> Store:
    from sqlalchemy.engine import URL

    return Store(str(URL.create("sqlite", database=str(folder / "mlflow.db"))))


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What functions leave in the temporary folder lies with the tests' own files, which go."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(autouse=True)
def inputs_are_not_pinned():
    """What a pipeline tells components, if a test called it in this process, ends here."""
    for name in ("ARTIFACTS_PINNED", "SERVED_STORE"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def scratch_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty tracking store, and this process set to use it."""
    import mlflow
    from sqlalchemy import Engine, event

    # Nobody needs this store after a power failure; waiting for the disk takes a fifth of the time
    def hurry(opened, _):
        if isinstance(opened, sqlite3.Connection):
            opened.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    folder = tmp_path_factory.mktemp("store")
    uri = add_store(folder)
    mlflow.set_tracking_uri(uri)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # artifacts go where the store is first opened
        mlflow.search_experiments()
    return uri


@pytest.fixture(scope="session")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the whole pipeline ran once, by the README's command; it stays as it is.

    One worker makes it for all.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "ran-once"
    with FileLock(f"{folder}.lock"):
        if not (folder / "outputs/terminal.txt").exists():
            shutil.rmtree(folder, ignore_errors=True)
            ran = type_in(clone(folder), "mlflow run . --env-manager local")
            assert ran.returncode == 0, ran.stdout
            (folder / "outputs").mkdir(exist_ok=True)
            (folder / "outputs/terminal.txt").write_text(ran.stdout)
    return folder


@pytest.fixture(scope="session")
def project(ran_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This worker's copy of it, with a store of its own, in which tests may run what they like.

    What the first run made is read where it was made, and what is run in the same experiments goes
    there too, to a folder that has the run's id.
    """
    folder = tmp_path_factory.mktemp("project") / "project"
    shutil.copytree(ran_once, folder, ignore=shutil.ignore_patterns("mlruns"))
    return folder


@pytest.fixture(scope="session")
def store(project: Path) -> Store:
    """The tracking store of `project`."""
    return store_of(project)


@pytest.fixture(scope="session")
def git_url(tmp_path_factory):
    """A git server on loopback with a clone of this repository."""
    from servers import GitServer

    base = tmp_path_factory.mktemp("git")
    clone(base / "repo")
    server = GitServer(base)
    yield f"{server.url}/repo"
    server.stop()


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory):
    """A tracking server; tests tell their runs apart by experiments."""
    from servers import TrackingServer

    folder = tmp_path_factory.mktemp("server")
    add_store(folder, "mlflow-artifacts:")
    server = TrackingServer(folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3():
    """A server that speaks S3, with the bucket `bucket`."""
    from servers import S3

    server = S3()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server with an empty database."""
    from servers import PostgreSQL

    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A SLURM cluster of two nodes."""
    from slurm import Slurm, lacking

    if reason := lacking():
        pytest.skip(reason)
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def slurm_user(slurm, postgresql, tmp_path_factory):
    """What a user of the cluster sets: where it is, and a server that its nodes can reach."""
    from servers import TrackingServer

    database = postgresql.url.replace("postgresql:", "postgresql+psycopg:")
    server = TrackingServer(tmp_path_factory.mktemp("server"), database)
    yield slurm.environment | {"MLFLOW_TRACKING_URI": server.url}
    server.stop()


@pytest.fixture(scope="session")
def wandb_server(tmp_path_factory):
    """A double of the Weights & Biases service, which knows all that it is asked."""
    from doubles.wandb_server import WandbServer

    server = WandbServer(tmp_path_factory.mktemp("wandb"))
    yield server
    server.stop()
    assert not server.unknown
