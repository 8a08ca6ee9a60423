"""Line ends: a checkout on Windows, where git writes CRLF, is the same as one elsewhere."""

import json

import pytest
from conftest import ROOT, clone, git, type_in

from _utils.pipeline.component import Component
from _utils.pipeline.reuse import cache_key
from _utils.project import read_project


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory):
    """The same commit, as git writes it on Linux and on Windows."""
    folder = tmp_path_factory.mktemp("checkouts")
    clone(folder / "origin")
    for name, setting in {"linux": "false", "windows": "true"}.items():
        options = ["-c", f"core.autocrlf={setting}", "--quiet", "origin", name]
        git("clone", *options, cwd=folder)
    return folder / "linux", folder / "windows"


def test_cache_keys_are_the_same_on_windows(checkouts):
    """So that colleagues reuse each other's runs."""

    def keys(root):
        folders = sorted(path.parent for path in root.glob("src/*/MLproject"))
        projects = {folder: read_project(folder) for folder in folders}
        parts = [Component(each.name, each, {}, project=projects[each]) for each in folders]
        return {component.name: cache_key(component) for component in parts}

    linux, windows = map(keys, checkouts)
    assert linux and windows == linux


def test_no_file_has_line_ends_of_windows(checkouts):
    """A script with CRLF does not start; data are as they came."""
    listed = git("ls-files", "--eol", cwd=checkouts[1]).splitlines()
    changed = [line for line in listed if "w/crlf" in line and "i/crlf" not in line]
    assert listed and not changed


def test_a_scaffolded_script_starts(checkouts, tmp_path):
    command = "cookiecutter cookie-mlflow-step -o src --no-input step_name=x script_name=run.sh"
    made = type_in(checkouts[1], command, HOME=str(tmp_path))
    assert made.returncode == 0, made.stdout
    paths = [*checkouts[1].glob("src/x/*"), checkouts[1] / "tests/src/test_x.py"]
    assert len(paths) == 4 and not [path for path in paths if b"\r" in path.read_bytes()]
    # The script's template has no line end of its own, so cookiecutter would take the system's
    answers = json.loads((ROOT / "cookie-mlflow-step/cookiecutter.json").read_text())
    assert answers["_new_lines"] == "\n"
