"""Environments that MLflow makes: who uses one, what is shown, and what of an unfinished one."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT
from mlflow.utils import virtualenv

from _utils.errors import UserError
from _utils.internals import env_name, shell_error
from _utils.pipeline import faults
from _utils.pipeline.component import Component
from _utils.pipeline.environments import made_quietly, one_at_a_time, users_of
from _utils.pipeline.faults import in_environment
from _utils.pipeline.log import Log
from _utils.project import check_is_active, read_project

FOLDER = ROOT / "src/eda"


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Where MLflow has the environment of a component."""
    monkeypatch.setenv("MLFLOW_ENV_ROOT", str(tmp_path))
    return tmp_path / env_name(FOLDER, "uv")


def test_who_uses_it_is_noted_once(prefix):
    for _ in range(2):
        with one_at_a_time(FOLDER, "uv"):
            pass
    own = env_name(ROOT, "uv")
    for name in prefix.name, own:
        assert (prefix.parent / f"{name}.users").read_text() == f"{ROOT}\n"
        assert users_of(name) == {ROOT}


def run_as_mlflow_does(code):
    virtualenv._exec_cmd([sys.executable, "-c", code], capture_output=False)


def test_what_is_printed_while_one_is_made_is_only_in_the_log(prefix, capfd):
    log = Log()
    with made_quietly(FOLDER, "uv", log):
        run_as_mlflow_does("import sys; print('Collecting x'); print('é', file=sys.stderr)")
        assert virtualenv._exec_cmd([sys.executable, "-c", "print(1)"]).stdout == "1\n"
    assert capfd.readouterr().out.split() == ["making", "its", "environment"]
    assert log.shown and log.preparing > 0
    log.write(b"of the component\n")
    assert capfd.readouterr().out == "of the component\n"
    assert re.search(r"^\$ .*\nCollecting x\né\nof the", bytes(log._written).decode(), re.MULTILINE)


def test_the_end_of_what_failed_is_shown(prefix, capfd):
    log = Log()
    with pytest.raises(shell_error(), match="exit code: 3"), made_quietly(FOLDER, "uv", log):
        run_as_mlflow_does("print('No solution'); exit(3)")
    assert not log.shown  # so raise_for_failure shows its last lines
    assert b"No solution" in log._written


def test_a_new_one_is_removed_if_it_is_interrupted_and_an_old_one_stays(prefix):
    for is_there in False, True:
        if is_there:
            prefix.mkdir()
        with pytest.raises(KeyboardInterrupt), made_quietly(FOLDER, "uv", Log()):
            if not is_there:
                run_as_mlflow_does(f"import os; os.mkdir({str(prefix)!r})")
            raise KeyboardInterrupt
        assert prefix.exists() is is_there


def test_one_that_mlflow_could_not_activate_is_told(monkeypatch):
    monkeypatch.setattr("shutil.which", {"conda": "/opt/conda/bin/conda"}.get)
    for env_manager in "local", "uv":
        check_is_active(env_manager)
    told = f"conda environment, {sys.prefix} is active. "
    told = re.escape(f"{told}Type `export CONDA_EXE=")
    with pytest.raises(UserError, match=told):
        check_is_active("conda")
    monkeypatch.setattr(sys, "prefix", f"/opt/conda/envs/mlflow-{'0' * 40}")
    check_is_active("conda")


CONDA, PYTHON = "conda_env: conda.yml", "python_env: python_env.yaml"
WITH_PIP = "dependencies: [python=3.11, pip, {pip: [wandb]}]"


@pytest.mark.parametrize(
    ("env_manager", "key", "text", "told"),
    [
        ("uv", CONDA, WITH_PIP, []),
        ("uv", CONDA, f"{WITH_PIP}\nchannels: [conda-forge]\nname: x", []),
        ("conda", CONDA, "dependencies: [python=3.11, 'conda-forge::wandb=0.27']", []),
        (
            "uv",
            CONDA,
            "dependencies: [python=3.11, {pip: [-r requirements.txt]}]",
            ["No such file"],
        ),
        (
            "uv",
            CONDA,
            "dependencies: [python=3.11, {pip: }]",
            ["step/conda.yml lacks wandb, which"],
        ),
        (
            "uv",
            CONDA,
            "dependencies: [python=3.11, {pip: [wandb-core]}]",
            ["conda.yml lacks wandb"],
        ),
        ("uv", CONDA, "dependencies: [python, {pip: [wandb]}]", ["Invalid dependency for python"]),
        ("local", CONDA, "dependencies: [python, wandb]", []),
        (
            "local",
            CONDA,
            "dependencies: [a: b",
            ["src/step/conda.yml cannot be read: while parsing"],
        ),
        ("local", CONDA, "", ["src/step/conda.yml cannot be read: "]),
        ("uv", PYTHON, "python: '3.11'\ndependencies: [wandb==0.27]", []),
        ("uv", PYTHON, "name: x\ndependencies: [wandb]", ["step/python_env.yaml cannot be read"]),
        (
            "conda",
            PYTHON,
            "dependencies: [wandb]",
            ["src/step/MLproject has no environment for conda"],
        ),
        ("conda", "docker_env: {image: python}", "", []),
        (
            "conda",
            "name: x",
            "",
            ["src/step/MLproject has no environment for conda: add conda_env"],
        ),
        (
            "virtualenv",
            CONDA,
            WITH_PIP,
            ["virtualenv needs pyenv, which is not on the PATH: install"],
        ),
    ],
)
def test_faults_of_an_environment(tmp_path, monkeypatch, env_manager, key, text, told):
    # A store that needs a package, whichever stores this project has
    monkeypatch.setattr(faults, "store", lambda _: SimpleNamespace(PACKAGE="wandb"))
    monkeypatch.setattr("shutil.which", lambda name: None if name == "pyenv" else name)
    folder = tmp_path / "src/step"
    folder.mkdir(parents=True)
    main = "entry_points: {main: {command: python run.py}}"
    (folder / "MLproject").write_text(f"{key}\n{main}\n")
    (folder / (key.partition(": ")[2] if key in (CONDA, PYTHON) else "none")).write_text(text)
    component = Component("step", folder, {}, project=read_project(folder))
    found = [*in_environment(component, env_manager)]
    assert len(found) == len(told), found
    assert all(part in fault for part, fault in zip(told, found, strict=True)), found


MAIN = """
import sys
from _utils.pipeline.environments import tell_missing_package
sys.prefix = sys.argv[1]
sys.excepthook = tell_missing_package
import {}
"""


@pytest.mark.parametrize(
    ("prefix", "module", "message"),
    [
        ("/me/.venv", "missing", "No module named 'missing': activate the environment"),
        (f"/me/mlflow-{'0' * 40}", "missing", "is unfinished. If no other process .* /me/mlflow-0"),
        ("/me/.venv", "_utils.missing", "Traceback"),
    ],
)
def test_a_missing_package_is_told_in_a_line(prefix, module, message):
    ran = subprocess.run(
        [sys.executable, "-c", MAIN.format(module), prefix],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert re.search(message, ran.stderr), ran.stderr
    assert ("Traceback" in message) or len(ran.stderr.splitlines()) == 1
