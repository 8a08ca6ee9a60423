"""Conventions that hold for files: comments, descriptions, versions."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement

COMPONENTS = sorted(path.parent for path in ROOT.glob("src/*/MLproject"))
MLPROJECTS = [ROOT / "MLproject", *(component / "MLproject" for component in COMPONENTS)]
TEMPLATES = ROOT / "cookie-mlflow-step/templates"
CONDA_FILES = [
    ROOT / "conda.yml",
    *sorted(TEMPLATES.glob("conda.*.yml")),
    *(component / "conda.yml" for component in COMPONENTS),
]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dependencies(file: Path) -> tuple[list[str], list[Requirement]]:
    """What a conda file asks of conda, and what of pip."""
    listed = yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"]
    of_pip = next(item["pip"] for item in listed if isinstance(item, dict))
    return [item for item in listed if isinstance(item, str)], [*map(Requirement, of_pip)]


def test_every_config_key_has_a_comment():
    """Keys further inside may be explained with their section, parameters in their MLproject."""
    lines = (ROOT / "config.yaml").read_text().splitlines()
    assert len(lines) < 340
    keys = [number for number, line in enumerate(lines) if re.match(r"(  )?\w[\w.]*:", line)]
    bare = [lines[key] for key in keys if not lines[key - 1].lstrip().startswith("#")]
    assert keys and not bare


def entry_points():
    """Those of all MLproject files."""
    for mlproject in MLPROJECTS:
        yield from yaml.safe_load(mlproject.read_text())["entry_points"].values()


def test_every_parameter_has_a_description():
    for entry_point in entry_points():
        for name, parameter in entry_point["parameters"].items():
            assert parameter["description"], (entry_point["command"], name)


@pytest.mark.parametrize("conda_file", CONDA_FILES, ids=name_of)
def test_versions_agree(conda_file):
    conda, pip = dependencies(conda_file)
    conda_of_all, pip_of_all = dependencies(ROOT / "environment.yml")
    # MLflow takes python, pip and the pip list under every environment manager, nothing else.
    assert conda == conda_of_all == ["python=3.11", "pip"]
    at_runtime = {"python_version": "3.11"}
    of_all = {
        str(Requirement(f"{item.name}{item.specifier}"))
        for item in pip_of_all
        if not item.marker or item.marker.evaluate(at_runtime)
    }
    pinned = {f"{item.name}{item.specifier}" for item in pip}
    assert all("==" in item or item.startswith("wandb<") for item in pinned)
    assert pinned <= of_all


def test_the_check_for_a_newer_mlflow_knows_the_one_here():
    _, pip = dependencies(ROOT / "environment.yml")
    (pinned,) = [str(item.specifier)[2:] for item in pip if item.name == "mlflow"]
    assert f'"mlflow>{pinned}"' in (ROOT / "CONTRIBUTING.md").read_text()


def test_commands_need_no_shell():
    for entry_point in entry_points():
        parts = re.sub(r"\{\w+\}", "", entry_point["command"])
        assert not re.search(r"[$|&;<>`'\"*]", parts)
