"""Everywhere the pipeline runs: set up by make, under each environment manager, from a git tag."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT, Typed, clone, store_of, type_in
from documents import changed, documented
from filelock import FileLock
from test_cookiecutter import ALL_TYPES, NAMES, SCRIPTS

pytestmark = pytest.mark.slow


def statuses(store, experiment="development"):
    children = store.children(store.pipeline(experiment), experiment)
    return {run.info.run_name: run.info.status for run in children}


def test_make_run_sets_itself_up_once_in_an_empty_home(tmp_path):
    folder = clone(tmp_path / "clone")
    # Of the components two; all of them run in such an environment in the other tests.
    config = (folder / "config.yaml").read_text()
    assert "  steps: all\n" in config
    (folder / "config.yaml").write_text(config.replace("  steps: all\n", "  steps: download,eda\n"))
    # The system's own programs, without what the tests' environment brings along.
    path = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if ".venv" not in part
    )
    home = {"HOME": str(tmp_path / "home"), "PATH": path, "VIRTUAL_ENV": ""}
    make = f"{documented('README.md', 'make run')} PYTHON={sys._base_executable}"

    def typed(command):
        shell = ["bash", "-c", command]
        return subprocess.run(
            shell, cwd=folder, env=ENVIRONMENT | home, capture_output=True, text=True
        )

    first = typed(make)
    assert first.returncode == 0, first.stdout + first.stderr
    ran = statuses(store_of(folder))
    assert ran == {"data_extraction": "FINISHED", "eda": "FINISHED"}
    made = (folder / ".venv/ready").stat().st_mtime_ns
    second = typed(f"{make} --dry-run")
    assert second.stdout.strip() == ".venv/bin/mlflow run . --env-manager local"
    assert (folder / ".venv/ready").stat().st_mtime_ns == made
    activate = documented("README.md", "source .venv/bin/activate")
    assert typed(f"{activate} && which mlflow").stdout == f"{folder}/.venv/bin/mlflow\n"


def test_make_alone_lists_the_targets():
    ran = type_in(ROOT, documented("CONTRIBUTING.md", "make"))
    targets = re.findall(r"^([a-z-]+): .*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[0] for line in ran.stdout.splitlines()] == targets


def test_from_a_git_tag_under_uv(git_url, environments, tmp_path):
    command = documented("README.md", "mlflow run https://github.com/")
    command = changed(command, {"https://github.com/<username>/<repo>.git": git_url})
    options = "--env-manager uv -P steps=data_extraction,eda"
    ran = type_in(tmp_path, f"{command} {options}", **environments)
    assert ran.returncode == 0, ran.stdout
    store = store_of(tmp_path)
    assert list(statuses(store)) and set(statuses(store).values()) == {"FINISHED"}
    pipeline = store.pipeline()
    assert pipeline.data.tags["mlflow.project.env"] == "uv"
    for run in store.children(pipeline):
        assert run.data.tags["mlflow.project.env"] == "uv"
        # Not in the clone, which is gone with the temporary folder it lies in.
        assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(tmp_path)


def test_one_component_from_a_git_tag(git_url, environments, tmp_path):
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


def test_new_components_of_each_kind_under_uv(environments, tmp_path):
    """What the README says of them: `cookiecutter`, then `mlflow run`."""
    folder = clone(tmp_path / "clone")
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


class TestMakingOne:
    """Environments that two pipelines make at once, or that are never finished."""

    COMMAND = documented("README.md", "mlflow run . --env-manager uv") + " -P steps=data_extraction"

    def test_two_at_once_on_a_fresh_machine(self, project, tmp_path):
        fresh = {"MLFLOW_ENV_ROOT": str(tmp_path)}
        with FileLock(tmp_path / "pipeline.lock"):  # of a third
            first = Typed(project, self.COMMAND, **fresh)
            first.until("Installing dependencies")
            second = Typed(project, self.COMMAND, **fresh)
            for typed in first, second:
                typed.until("Waiting for another pipeline, which is making an environment.")
        assert second.end() == 0, second.text
        assert first.end() == 0, first.text
        assert len(list(tmp_path.glob("mlflow-*/bin"))) == 2
        clean = "mlflow run . --env-manager local -e clean_envs"
        listed = type_in(project, clean, **fresh).stdout
        assert "Nothing was removed" in listed and listed.count(f"{tmp_path}/mlflow-") == 2
        removed = type_in(project, f"{clean} -P yes=true", **fresh)
        assert removed.returncode == 0, removed.stdout
        assert not list(tmp_path.glob("mlflow-*/bin"))

    def test_one_whose_creation_was_interrupted(self, project, tmp_path):
        """Of the component's main.py removes what there is; of its own it says what to remove."""
        fresh = {"MLFLOW_ENV_ROOT": str(tmp_path)}
        moments = [("Installing dependencies", signal.SIGKILL), ("1/1 data", signal.SIGINT)]
        for moment, signum in moments:
            interrupted = Typed(project, self.COMMAND, **fresh)
            interrupted.until(moment)
            interrupted.until("Resolved")  # from here on there is an environment, with little in it
            interrupted.signal(signum, "all")
            interrupted.end()
            if signum == signal.SIGKILL:
                again = type_in(project, self.COMMAND, **fresh)
                assert again.returncode == 1, again.stdout
                shutil.rmtree(re.search("unfinished.* remove (.*), then run", again.stdout)[1])
        after = Typed(project, self.COMMAND, **fresh)
        assert after.end() == 0, after.text


def test_conda(project, tmp_path):
    """With conda no option is needed; a double stands in for conda's channels."""
    conda = tmp_path / "conda/bin/conda"
    conda.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests/doubles/conda", conda)
    conda.chmod(0o755)
    profile = tmp_path / "conda/etc/profile.d/conda.sh"
    profile.parent.mkdir(parents=True)
    profile.write_text(f'conda() {{ source "{tmp_path}/conda/envs/$2/bin/activate"; }}\n')
    command = documented("README.md", "mlflow run .")
    ran = type_in(project, f"{command} -P steps=data_extraction", CONDA_EXE=str(conda))
    assert ran.returncode == 0, ran.stdout
    store = store_of(project)
    (run,) = store.children(store.pipeline())
    assert run.data.tags["mlflow.project.env"] == "conda"
    # One environment for main.py, one for the component.
    assert len(list((tmp_path / "conda/envs").iterdir())) == 2


def test_without_conda_the_cure_is_one_option(project):
    command = documented("README.md", "mlflow run . -P steps=data_extraction")
    ran = type_in(project, command, CONDA_EXE="/nowhere/conda")
    assert ran.returncode != 0
    assert "conda" in ran.stdout
    cured = type_in(project, f"{command} --env-manager local", CONDA_EXE="/nowhere/conda")
    assert cured.returncode == 0, cured.stdout
