"""Environments as MLflow makes them: finished, unfinished, and those of somebody else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from _utils.errors import UserError
from _utils.pipeline.environments import check_own, faults, name_of, one_at_a_time, users_of

CONDA_FILE = ROOT / "conda.yml"
*_, OF_PIP = yaml.safe_load(CONDA_FILE.read_text())["dependencies"]
LISTED = [re.split("[=<>]", line)[0].replace("-", "_") for line in OF_PIP["pip"]]


def make(prefix: Path, packages: list[str]) -> Path:
    """What an environment with these packages looks like."""
    site = prefix / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    for package in packages:
        (site / f"{package}-1.0.dist-info").mkdir()
    (prefix / "bin").mkdir()
    (prefix / "bin/python").touch()
    for folder in [site, prefix]:
        os.utime(folder, (0, 0))  # nobody has just been at work there
    return prefix


def files(prefix: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [prefix, *prefix.rglob("*")]}


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Where MLflow has the environment of a component."""
    monkeypatch.setenv("MLFLOW_ENV_ROOT", str(tmp_path))
    return tmp_path / name_of(CONDA_FILE, "uv")


def test_it_knows_what_is_listed(tmp_path):
    assert faults(make(tmp_path / "whole", LISTED), CONDA_FILE) == ""
    assert f"{tmp_path / 'none'} lacks Python, mlflow, " in faults(tmp_path / "none", CONDA_FILE)
    conda_file = tmp_path / "conda.yml"
    lines = ["- python=3.11", "- pip:", "  - 'a_b[c]>=1'  # why", "  - d.e", '  - "f ~= 1"']
    rest = ["git+https://x/g.git", "-r h.txt", "./i", "j; os_name == 'nt'", "k @ https://x/k.whl"]
    conda_file.write_text("\n".join([*lines, *(f"  - {line}" for line in rest)]))
    message = faults(make(tmp_path / "empty", []), conda_file)
    assert message.startswith(f"{tmp_path / 'empty'} lacks a_b, d.e, f, k: ")


class TestOfAComponent:
    def test_one_killed_while_main_made_it_is_made_again(self, prefix):
        with pytest.raises(KeyboardInterrupt), one_at_a_time(CONDA_FILE, "uv"):
            make(prefix, [])
            raise KeyboardInterrupt
        with one_at_a_time(CONDA_FILE, "uv"):
            assert not prefix.exists()
            make(prefix, LISTED)
        before = files(prefix)
        with one_at_a_time(CONDA_FILE, "uv"):
            assert files(prefix) == before
        assert users_of(prefix.name) == {ROOT}

    @pytest.mark.parametrize("packages", [[], LISTED[1:]])
    def test_any_other_that_lacks_something_is_told_and_stays(self, prefix, packages):
        before = files(make(prefix, packages))
        with pytest.raises(UserError) as raised, one_at_a_time(CONDA_FILE, "uv"):
            pass
        assert "lacks mlflow" in str(raised.value)
        assert str(raised.value).endswith(f"makes it anew: rm -r '{prefix}'")
        assert files(prefix) == before

    def test_one_behind_a_symbolic_link_stays(self, prefix, tmp_path):
        target = make(tmp_path / "elsewhere", LISTED)
        prefix.symlink_to(target)
        prefix.with_name(f"{prefix.name}.unfinished").touch()
        before = files(target)
        with one_at_a_time(CONDA_FILE, "uv"):
            pass
        assert files(target) == before and prefix.is_symlink()


class TestOfMain:
    def test_an_own_one_is_left_alone(self, tmp_path, monkeypatch):
        before = files(make(tmp_path / "mlflow-mine", []))
        monkeypatch.setattr(sys, "prefix", str(tmp_path / "mlflow-mine"))
        monkeypatch.setattr(sys, "excepthook", None)
        check_own(ROOT / "conda.yml")
        assert files(tmp_path / "mlflow-mine") == before

    def test_one_that_lacks_something_is_told(self, tmp_path, monkeypatch):
        prefix = make(tmp_path / f"mlflow-{'0' * 40}", [])
        monkeypatch.setattr(sys, "prefix", str(prefix))
        monkeypatch.setattr(sys, "excepthook", None)
        with pytest.raises(SystemExit, match=r"lacks mlflow, .*rm -r"):
            check_own(ROOT / "conda.yml")

    def test_one_that_another_process_fills_is_waited_for(self, tmp_path):
        """By the lock that uv has while it installs."""
        prefix = make(tmp_path / f"mlflow-{'0' * 40}", [])
        lines = [
            "import sys",
            "from pathlib import Path",
            "from _utils.pipeline.environments import check_own",
            f"sys.prefix = {str(prefix)!r}",
            f"check_own(Path({str(CONDA_FILE)!r}))",
        ]
        fcntl = pytest.importorskip("fcntl")
        with (prefix / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            waiting = subprocess.Popen(
                [sys.executable, "-c", "\n".join(lines)],
                env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
                stderr=subprocess.PIPE,
                text=True,
            )
            assert "waiting for it" in waiting.stderr.readline()
            for package in LISTED:
                (prefix / f"lib/python3.11/site-packages/{package}-1.0.dist-info").mkdir()
            assert waiting.poll() is None
        assert waiting.communicate()[1] == "" and waiting.returncode == 0
