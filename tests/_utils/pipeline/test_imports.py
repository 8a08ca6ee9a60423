import json

import pytest

from _utils.pipeline.imports import files_of


@pytest.fixture
def src(tmp_path):
    """A component, and modules that it uses or not."""
    files = {
        "step/MLproject": "command: python run.py",
        "step/run.py": "from _utils.used import function",
        "step/__pycache__/run.pyc": "",
        "step/.hidden/file": "",
        "_utils/__init__.py": "",
        "_utils/used.py": "def f():\n    import _utils.inner.deep as deep",
        "_utils/unused.py": "",
        "_utils/inner/__init__.py": "from . import beside",
        "_utils/inner/beside.py": "from .deeper import function",
        "_utils/inner/deeper.py": "import _utils.used",
        "_utils/inner/deep.py": "",
        "_utils/inner/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


ALWAYS = ["step/MLproject", "step/run.py"]
USED = ["_utils/__init__.py", "_utils/used.py"]
INNER = [f"_utils/inner/{name}.py" for name in ("__init__", "beside", "deep", "deeper")]


def names(src):
    return [path.relative_to(src).as_posix() for path in files_of(src / "step")]


def test_modules_are_found_through_others_and_unused_ones_left_out(src):
    assert names(src) == [*ALWAYS, "_utils/__init__.py", *INNER, "_utils/used.py"]


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import json", []),
        ("import _utils", ["_utils/__init__.py"]),
        ("from _utils import unused", ["_utils/__init__.py", "_utils/unused.py"]),
        ("from _utils.inner import (\n    other,\n)", ["_utils/inner/other.py"]),
        ("if True:\n    import _utils.unused", ["_utils/unused.py"]),
        ("command = ['python', '../_utils/unused.py']", ["_utils/unused.py"]),
        ("this is no Python _utils", []),
        ("# see _utils.unused", []),
    ],
)
def test_the_ways_to_import(src, source, modules):
    (src / "step/run.py").write_text(source)
    assert set(modules) <= set(names(src))
    assert ("_utils/unused.py" in names(src)) == ("_utils/unused.py" in modules)
    assert bool(names(src) == ALWAYS) == (not modules)


def test_commands_and_notebooks_count(src):
    (src / "step/run.py").unlink()
    (src / "step/MLproject").write_text("command: python ../_utils/unused.py book.ipynb")
    cells = [
        {"cell_type": "markdown", "source": ["import _utils.used"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "from _utils.inner import deep"]},
    ]
    (src / "step/book.ipynb").write_text(json.dumps({"cells": cells}))
    found = names(src)
    assert {"_utils/unused.py", "_utils/inner/deep.py", "step/book.ipynb"} <= {*found}
