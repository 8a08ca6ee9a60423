"""A new version of a package takes a name away: the test of that name says so, in a line."""

import ast
import inspect
import sys

import pytest
from mlflow.utils import mlflow_tags

from _utils import internals

TAGS = [
    "PARENT_RUN_ID",
    "RUN_NAME",
    "RUN_NOTE",
    "PROJECT_ENV",
    "USER",
    "SOURCE_NAME",
    "SOURCE_TYPE",
]


def imported(function):
    """The names that a function imports from packages."""
    tree = ast.parse(inspect.getsource(function))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [f"{node.module}:{alias.name}" for node in found for alias in node.names]


FUNCTIONS = [f for _, f in inspect.getmembers(internals, inspect.isfunction)]
FUNCTIONS = [f for f in FUNCTIONS if f.__module__ == internals.__name__]


@pytest.mark.parametrize(
    "name", sorted({name for function in FUNCTIONS for name in imported(function)})
)
def test_the_installed_version_still_has(name):
    module, _, attribute = name.partition(":")
    try:
        exec(f"from {module} import {attribute}")
    except ImportError:
        pytest.fail(f"{name} is gone: internals.py says what needs it", pytrace=False)


def test_an_mlproject_is_read_as_utf8_also_on_windows(monkeypatch, tmp_path):
    text = 'name: a\nconda_env: conda.yml\nentry_points: {main: {command: "python → ”"}}'
    (tmp_path / "MLproject").write_text(text, "utf-8")
    (tmp_path / "conda.yml").write_text("dependencies: [] # ”", "utf-8")

    def on_windows(file, mode="r", encoding="cp1252", of_python=open):
        return of_python(file, mode, encoding=encoding)

    monkeypatch.setattr("builtins.open", on_windows)
    project = internals.load_mlproject(tmp_path)
    assert project.get_entry_point("main").command == "python → ”"
    assert internals.env_name(tmp_path, "conda")


def test_ipython_is_not_imported_only_to_look_for_a_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with internals.outside_notebooks(), pytest.raises(ImportError):
        import IPython
    assert "IPython" not in sys.modules
    import IPython

    with internals.outside_notebooks():
        assert sys.modules["IPython"] is IPython


@pytest.mark.parametrize("name", TAGS)
def test_mlflow_still_calls_its_tags_so(name):
    assert getattr(internals, name) == getattr(mlflow_tags, f"MLFLOW_{name}")
