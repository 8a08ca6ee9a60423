"""Environments that MLflow makes: who uses one, and what to do about an unfinished one."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from _utils.internals import env_name
from _utils.pipeline.environments import one_at_a_time, users_of

CONDA_FILE = ROOT / "src/eda/conda.yml"


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Where MLflow has the environment of a component."""
    monkeypatch.setenv("MLFLOW_ENV_ROOT", str(tmp_path))
    return tmp_path / env_name(CONDA_FILE, "uv")


def test_who_uses_it_is_noted_once(prefix):
    for _ in range(2):
        with one_at_a_time(CONDA_FILE, "uv"):
            pass
    own = env_name(ROOT / "conda.yml", "uv")
    for name in prefix.name, own:
        assert (prefix.parent / f"{name}.users").read_text() == f"{ROOT}\n"
        assert users_of(name) == {ROOT}


def test_a_new_one_is_removed_if_it_is_interrupted_and_an_old_one_stays(prefix):
    for is_there in False, True:
        if is_there:
            prefix.mkdir()
        with pytest.raises(KeyboardInterrupt), one_at_a_time(CONDA_FILE, "uv"):
            prefix.mkdir(exist_ok=True)
            raise KeyboardInterrupt
        assert prefix.exists() is is_there


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
