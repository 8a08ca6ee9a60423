"""Everywhere the pipeline runs: set up by tasks.py, under each environment manager, from a git tag.

The environments have one small package each, and Python finds the others where the tests have them:
that MLflow and uv can install packages is their affair. Those marked nightly install all packages,
or make several environments.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT, Typed, add_store, clone, git, needs, store_of, type_in
from filelock import FileLock
from servers import GitServer
from test_cookiecutter import ALL_TYPES, NAMES, SCRIPTS

import tasks

slow, nightly = pytest.mark.slow, pytest.mark.nightly
DOWNLOAD = "mlflow run . --env-manager uv -P steps=data_extraction"
WITHOUT_CONDA = "PATH=/usr/bin:/bin"
ELSEWHERE = {
    "PYTHONPATH": sysconfig.get_path("purelib"),
    "JUPYTER_PATH": str(Path(sys.prefix) / "share/jupyter"),
}


def statuses(store, experiment="development"):
    children = store.children(store.pipeline(experiment), experiment)
    return {run.info.run_name: run.info.status for run in children}


def shrink_environments(folder: Path) -> None:
    """Leave one package in each conda.yml, another one for main.py than for the components."""
    for file in folder.rglob("conda*.yml"):
        package = "filelock" if file.parent == folder else "idna"
        text, _, _ = file.read_text().partition("  - pip:\n")
        file.write_text(f"{text}  - pip:\n      - {package}=={version(package)}\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with such environments, committed and tagged."""
    folder = clone(tmp_path_factory.mktemp("small") / "project", store=True)
    shrink_environments(folder)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    git(*author, "commit", "--quiet", "--all", "--message=small environments", cwd=folder)
    git("tag", "--force", "1.0.0", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """Where MLflow makes environments, the same for all tests that need no fresh ones."""
    return {**ELSEWHERE, "MLFLOW_ENV_ROOT": str(tmp_path_factory.mktemp("envs"))}


@pytest.fixture(scope="module")
def git_url(project):
    """A git server on loopback with the project."""
    server = GitServer(project.parent)
    yield f"{server.url}/project"
    server.stop()


def typed_at_home(home: Path, folder: Path, command: str) -> subprocess.CompletedProcess:
    """Type a command in an empty home, without what the tests' environment brings along."""
    path = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if ".venv" not in part
    )
    variables = {"HOME": str(home), "PATH": path, "VIRTUAL_ENV": ""}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=ENVIRONMENT | variables,
        capture_output=True,
        text=True,
    )


@slow
def test_it_sets_itself_up_once(tmp_path):
    folder = clone(tmp_path / "a clone")
    listed = (folder / "environment.yml").read_text()
    few = "".join(re.findall(r"^ *- (?:uv|filelock)==.*\n", listed, re.MULTILINE))
    (folder / "environment.yml").write_text(f"- pip:\n{few}")
    first = typed_at_home(tmp_path, folder, f"make setup PYTHON={sys._base_executable}")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count("\n") == 1 and f"Setting up {folder}/.venv" in first.stdout
    assert list((folder / ".venv").glob("lib/*/site-packages/filelock/__pycache__"))
    created = (folder / ".venv/bin/python").lstat().st_mtime_ns
    elsewhere = f"{sys._base_executable} '{folder}/tasks.py' setup"
    second = typed_at_home(tmp_path, tmp_path, elsewhere)
    assert (second.returncode, second.stdout + second.stderr) == (0, "")
    assert (folder / ".venv/bin/python").lstat().st_mtime_ns == created
    activated = typed_at_home(tmp_path, folder, "source .venv/bin/activate && which uv")
    assert activated.stdout == f"{folder}/.venv/bin/uv\n"
    # MLflow itself takes longer to install
    (folder / ".venv/bin/mlflow").write_text("import sys; print(sys.argv[1:])")
    no_conda = f"unset CONDA_EXE MLFLOW_CONDA_HOME; {WITHOUT_CONDA} '{folder}/.venv/bin/python'"
    run = typed_at_home(tmp_path, folder, f"{no_conda} .venv/bin/mlflow run . -P steps=a")
    assert run.stdout == "['run', '--env-manager', 'local', '.', '-P', 'steps=a']\n", run.stderr
    assert run.stderr == "No conda here: mlflow runs with --env-manager local\n"


@nightly
def test_make_run_in_an_empty_home(tmp_path):
    folder = clone(tmp_path / "clone")
    config = (folder / "config.yaml").read_text()
    assert "  steps: all\n" in config
    (folder / "config.yaml").write_text(config.replace("  steps: all\n", "  steps: download,eda\n"))
    ran = typed_at_home(tmp_path / "home", folder, f"make run PYTHON={sys._base_executable}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert statuses(store_of(folder)) == {"data_extraction": "FINISHED", "eda": "FINISHED"}


def test_make_alone_lists_the_tasks():
    needs("make")
    ran = type_in(ROOT, "make")
    assert [line.split()[0] for line in ran.stdout.splitlines()] == [*tasks.TASKS]


@nightly
def test_all_packages_of_the_components_are_listed(tmp_path):
    """The whole pipeline under uv: nothing is found but what each conda.yml lists."""
    folder = clone(tmp_path / "clone")
    environments = {"MLFLOW_ENV_ROOT": str(tmp_path / "envs")}
    ran = type_in(folder, "mlflow run . --env-manager uv", **environments)
    assert ran.returncode == 0, ran.stdout


@slow
def test_from_a_git_tag_under_uv(git_url, environments, tmp_path):
    add_store(tmp_path)
    command = f"mlflow run {git_url} -v 1.0.0 --env-manager uv -P steps=data_extraction"
    ran = type_in(tmp_path, command, **environments)
    assert ran.returncode == 0, ran.stdout
    store = store_of(tmp_path)
    assert list(statuses(store)) and set(statuses(store).values()) == {"FINISHED"}
    pipeline = store.pipeline()
    assert pipeline.data.tags["mlflow.project.env"] == "uv"
    for run in store.children(pipeline):
        assert run.data.tags["mlflow.project.env"] == "uv"
        # Not in the clone, which is gone with the temporary folder it lies in.
        assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(tmp_path)


@slow
def test_one_component_from_a_git_tag(git_url, environments, tmp_path):
    add_store(tmp_path)
    given = "-P file_url=resources/data/epa_fuel_economy_2012.csv -P artifact_name=raw_data.parquet"
    ran = type_in(
        tmp_path,
        f"mlflow run '{git_url}#src/data_extraction' -v 1.0.0 --env-manager uv {given}",
        **environments,
    )
    assert ran.returncode == 0, ran.stdout
    (run,) = store_of(tmp_path).runs("Default")
    assert run.info.status == "FINISHED"
    assert "output.raw_data.parquet" in run.data.tags


@nightly
def test_new_components_of_each_kind_under_uv(environments, tmp_path):
    """What the README says of them: `cookiecutter`, then `mlflow run`."""
    folder = clone(tmp_path / "clone", store=True)
    shrink_environments(folder)
    kinds = {f"basic_cleaning{number}": script for number, script in enumerate(SCRIPTS, 2)}
    for name, script in kinds.items():
        given = shlex.quote(f"parameters={ALL_TYPES}")
        made = type_in(
            folder,
            "cookiecutter cookie-mlflow-step -o src --no-input "
            f"step_name={name} script_name={script} {given}",
            HOME=str(tmp_path),
        )
        assert made.returncode == 0, made.stdout
    command = f"mlflow run . -P steps=download,{','.join(kinds)} --env-manager uv"
    ran = type_in(folder, command, **environments)
    assert ran.returncode == 0, ran.stdout
    store = store_of(folder)
    _, *runs = store.children(store.pipeline())
    assert [run.info.run_name for run in runs] == [*kinds]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert {*run.data.params} == {*NAMES}
        assert run.data.tags["job_type"] == "my_step"
        assert {"input.raw_data.parquet", "output.made.txt"} <= {*run.data.tags}


@slow
def test_an_environment_that_cannot_be_made(project, environments):
    """Nobody has this version of Python; the run says FAILED and has its name all the same."""
    conda = project / "src/data_extraction/conda.yml"
    text = conda.read_text()
    conda.write_text(text.replace("python=3.11", "python=3.1"))
    try:
        command = "mlflow run . --env-manager uv -P steps=data_extraction"
        ran = type_in(project, command, **environments)
    finally:
        conda.write_text(text)
    assert ran.returncode == 1
    assert "Component 'data_extraction' failed" in ran.stdout, ran.stdout
    store = store_of(project)
    (run,) = store.children(store.pipeline())
    assert (run.info.status, run.info.run_name) == ("FAILED", "data_extraction")


@nightly
class TestMakingOne:
    """Environments that two pipelines make at once, or that are never finished."""

    def test_two_at_once_on_a_fresh_machine(self, project, tmp_path):
        fresh = {**ELSEWHERE, "MLFLOW_ENV_ROOT": str(tmp_path)}
        with FileLock(tmp_path / "pipeline.lock"):  # of a third
            first = Typed(project, DOWNLOAD, **fresh)
            first.until("Installing dependencies")
            second = Typed(project, DOWNLOAD, **fresh)
            for typed in first, second:
                typed.until("Waiting for another pipeline, which is making an environment.")
        assert second.end() == 0, second.text
        assert first.end() == 0, first.text
        assert len(list(tmp_path.glob("mlflow-*/bin"))) == 2

    def test_one_whose_creation_was_killed(self, project, tmp_path):
        place = {"MLFLOW_ENV_ROOT": str(tmp_path)}
        with socket.create_server(("127.0.0.1", 0)) as index:  # which never answers
            url = f"http://127.0.0.1:{index.getsockname()[1]}"
            stuck = {"UV_NO_CACHE": "1", "UV_DEFAULT_INDEX": url, "UV_NO_FIND_LINKS": "1"}
            killed = Typed(project, DOWNLOAD, **place, **stuck)
            killed.until("Installing dependencies")
            index.accept()[0].close()  # of uv: there is an environment, with nothing in it
            killed.signal(signal.SIGKILL, "all")
            killed.end()
        (prefix,) = tmp_path.glob("mlflow-*")
        told = type_in(project, DOWNLOAD, **place)
        assert told.returncode == 1
        assert "the environment is unfinished" in told.stdout
        assert f"remove {prefix}, then run the same command again" in told.stdout


@nightly
def test_conda(project, tmp_path):
    """With conda no option is needed; a double stands in for conda's channels.

    First conda is on the PATH without its hook, and so MLflow's `source activate` finds this .venv.
    """
    conda = tmp_path / "conda/bin/conda"
    conda.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests/doubles/conda", conda)
    conda.chmod(0o755)
    profile = tmp_path / "conda/etc/profile.d/conda.sh"
    profile.parent.mkdir(parents=True)
    profile.write_text(f'conda() {{ source "{tmp_path}/conda/envs/$2/bin/activate"; }}\n')
    command = "mlflow run . -P steps=data_extraction -P hydra_options=main.reuse=false"
    hidden = {"PATH": f"{Path(sys.executable).parent}:{conda.parent}:{os.environ['PATH']}"}
    ran = type_in(project, command, **hidden, **ELSEWHERE)
    assert ran.returncode == 1
    told = (
        f"conda environment, {sys.prefix} is active. Type `(export CONDA_EXE=.*/conda/bin/conda)`"
    )
    (cure,) = re.findall(told, ran.stdout)

    def records():
        """What an environment has, and since when."""
        files = (tmp_path / "conda/envs").glob("*/lib/*/site-packages/*.dist-info/RECORD")
        return {file: file.stat().st_mtime_ns for file in files}

    of_main = records()
    ran = type_in(project, f"{cure}; {command}", **hidden, **ELSEWHERE)
    assert ran.returncode == 0, ran.stdout
    assert "making its environment" in ran.stdout and "Collecting" not in ran.stdout
    assert re.search(r"seconds *┃ environment", ran.stdout)
    store = store_of(project)
    (run,) = store.children(store.pipeline())
    assert run.data.tags["mlflow.project.env"] == "conda"
    assert "Collecting package-1014" in store.text(run, "log.txt", tmp_path)
    # One environment for main.py, one for the component; neither is made again for its RECORDs
    assert len(list((tmp_path / "conda/envs").iterdir())) == 2
    assert of_main and of_main.items() <= records().items()
    assert not [*project.rglob("condaenv.*")]
