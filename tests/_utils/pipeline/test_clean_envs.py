"""Environments of this project, of another, and of nobody; conda is a double."""

import runpy
import sys

import pytest
from conftest import ROOT, not_on_windows

CONDA = """#!/usr/bin/env python3
import json, pathlib, sys
envs = pathlib.Path(__file__).parent / "envs"
if sys.argv[1:] == ["env", "list", "--json"]:
    print(json.dumps({"envs": [str(path) for path in envs.iterdir()]}))
else:
    (envs.parent / "removed").write_text(" ".join(sys.argv[1:]))
"""

NO_DOUBLE = not_on_windows("it starts no script by its first line, as the double of conda is one")


@pytest.fixture
def clean(tmp_path, monkeypatch, capfd):
    """The command, on a machine with these environments: name -> who uses it."""
    conda = tmp_path / "conda/conda"
    places = {
        "envs/mlflow-mine": [ROOT],
        "envs/mlflow-also-mine": [ROOT, tmp_path / "gone"],
        "envs/mlflow-shared": [ROOT, tmp_path],
        "envs/mlflow-anothers": [tmp_path],
        "envs/mlflow-unknown": [],
        "conda/envs/mlflow-own": [],
        "conda/envs/mlflow-conda": [ROOT],
        "conda/envs/base": [],
    }
    for name, users in places.items():
        (tmp_path / name).mkdir(parents=True)
        if users:
            lines = "".join(f"{user}\n" for user in users)
            (tmp_path / f"envs/{name.rpartition('/')[2]}.users").write_text(lines)
    (tmp_path / "conda/envs/mlflow-conda/conda-meta").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target/mine").touch()
    (tmp_path / "envs/mlflow-linked").symlink_to(tmp_path / "target")
    (tmp_path / "envs/mlflow-linked.users").write_text(f"{ROOT}\n")
    conda.write_text(CONDA)
    conda.chmod(0o755)

    def clean(*arguments):
        script = str(ROOT / "src/_utils/pipeline/environments.py")
        monkeypatch.setenv("MLFLOW_ENV_ROOT", str(tmp_path / "envs"))
        monkeypatch.setenv("CONDA_EXE", str(conda))
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(script, run_name="__main__")
        return capfd.readouterr().out

    return clean


MINE = ["mlflow-also-mine", "mlflow-conda", "mlflow-mine"]


def left(folder):
    return sorted(
        path.name
        for place in ("envs", "conda/envs")
        for path in (folder / place).iterdir()
        if path.is_dir()
    )


@NO_DOUBLE
def test_they_are_listed_and_stay_unless_the_answer_is_yes(clean, tmp_path):
    before = left(tmp_path)
    *lines, last = clean("--yes=").splitlines()
    assert sorted(line.rpartition("/")[2] for line in lines) == MINE
    assert "Nothing was removed" in last
    assert left(tmp_path) == before


@NO_DOUBLE
def test_they_are_removed_and_nothing_else(clean, tmp_path):
    before = left(tmp_path)
    removed = clean("--yes=true")
    assert left(tmp_path) == sorted({*before} - {*MINE})
    assert (tmp_path / "target/mine").exists() and "linked" not in removed
    removed = f"env remove --yes --prefix {tmp_path}/conda/envs/mlflow-conda"
    assert (tmp_path / "conda/removed").read_text() == removed
    assert "has no environments that only" in clean()
