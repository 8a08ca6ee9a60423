"""A machine on which something is wrong; what is told names the cure."""

import os
import subprocess
import sys

import mlflow
import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir

from _utils.errors import UserError
from _utils.pipeline.report import console
from _utils.pipeline.server import check_machine


@pytest.fixture(scope="module")
def main():
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        return compose("config").main


@pytest.fixture
def told(main, monkeypatch):
    """What is told of this machine, with a tracking store."""

    def told(uri):
        monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: uri)
        monkeypatch.setattr(os, "environ", os.environ.copy())  # where the store is told of
        fault = ""
        with console.capture() as captured:
            try:
                check_machine(main)
            except UserError as error:
                fault = str(error)
        return captured.get() + fault

    return told


def test_nothing(told, tmp_path):
    assert told(f"sqlite:///{tmp_path}/mlflow.db") == ""
    assert told("http://127.0.0.1:5000") == ""


def test_runs_in_files(told, tmp_path):
    text = told(f"file://{tmp_path}/mlruns")
    assert "holds runs in files" in text and "mlflow migrate-filestore" in text


def test_a_folder_that_is_not_there(told, tmp_path):
    assert f"{tmp_path / 'gone'}, for the tracking store" in told(f"sqlite:///{tmp_path}/gone/x.db")


def test_a_folder_that_cannot_be_written_to(told, tmp_path, monkeypatch):
    # This process may be root's, which may write everywhere
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    text = told(f"sqlite:///{tmp_path}/mlflow.db")
    assert text.startswith(f"{tmp_path} is not writable: correct its owner")


def test_no_git(told, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told("http://127.0.0.1:5000").startswith("git is not on the PATH")


def test_a_wrong_python():
    lines = "import sys; sys.version_info = (3, 15, 0); sys.argv = ['main.py', '-h']"
    code = f"{lines}; exec(open('main.py').read(), {{'__file__': 'main.py'}})"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "take one of 3.11 to 3.14" in ran.stderr and "Traceback" not in ran.stderr


def test_an_environment_that_is_not_activated():
    without_packages = [sys.executable, "-S", "main.py"]
    ran = subprocess.run(without_packages, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "activate the environment first" in ran.stderr and "Traceback" not in ran.stderr
