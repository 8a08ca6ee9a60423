"""What a component depends on, in a repository of small files."""

import json
import tempfile

import pytest
import yaml
from conftest import NO_LINKS, ROOT, git, not_on_windows

from _utils.pipeline.mentions import mentions_of
from _utils.pipeline.sources import SYSTEM, named_by, sources_of

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())["components"] or {}
REUSABLE = [name for name, section in CONFIG.items() if section.get("cache", True)]


@pytest.fixture
def root(tmp_path):
    """A component, and modules that it uses or not."""
    files = {
        "src/step/MLproject": "command: python run.py",
        "src/step/run.py": "from _utils.used import function",
        "src/step/__pycache__/run.pyc": "",
        "src/step/.ipynb_checkpoints/run.py": "import _utils.unused",
        "src/_utils/__init__.py": "",
        "src/_utils/used.py": "def f():\n    import _utils.inner.deep as deep",
        "src/_utils/unused.py": "",
        "src/_utils/inner/__init__.py": "from . import beside",
        "src/_utils/inner/beside.py": "from .deeper import function",
        "src/_utils/inner/deeper.py": "import _utils.used",
        "src/_utils/inner/deep.py": "",
        "src/_utils/inner/other.py": "",
        "src/other/helpers.py": "import _utils.unused",
        "src/other/MLproject": "",
        "src/common.py": "",
        "resources/data/a.csv": "a",
        "resources/data/deep/b.csv": "b",
        "outputs/left.csv": "",
        "config.yaml": "",
        "lib/deep.py": "",
    }
    for name, text in files.items():
        write(tmp_path / name, text)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


ALWAYS = {"step/MLproject", "step/run.py"}
INNER = {f"_utils/inner/{name}.py" for name in ("__init__", "beside", "deep", "deeper")}
OTHER = {"other/helpers.py", "other/MLproject", "_utils/__init__.py", "_utils/unused.py"}


def names(root):
    """What the component uses, but for its own two files, and what cannot be known."""
    sources_of.cache_clear(), mentions_of.cache_clear()
    files, unknown = sources_of(root / "src/step")
    src, outside = root / "src", [path for path in files if not path.is_relative_to(root / "src")]
    inside = {path.relative_to(src).as_posix() for path in files if path not in outside}
    assert inside >= {"step/MLproject"}
    return (inside - ALWAYS) | {path.relative_to(root).as_posix() for path in outside}, unknown


def used(root, source, file="src/step/run.py"):
    write(root / file, source)
    files, unknown = names(root)
    assert not unknown
    return files - {file.removeprefix("src/")}


def unknown(root, source, file="src/step/run.py"):
    write(root / file, source)
    return names(root)[1]


def notebook(*cells):
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": "import _utils.used"}, *code]})


def test_modules_are_found_through_others_and_unused_ones_left_out(root):
    assert names(root) == ({"_utils/__init__.py", "_utils/used.py", *INNER}, [])


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("import json", set()),
        ("# see _utils.unused", set()),
        ('"""See _utils.unused and ../_utils/unused.py."""', set()),
        ("os.environ['X'] = os.environ['MLFLOW_RUN_ID']", set()),
        ("import _utils", {"_utils/__init__.py"}),
        ("from _utils import unused", {"_utils/__init__.py", "_utils/unused.py"}),
        ("import src._utils.unused", {"_utils/__init__.py", "_utils/unused.py"}),
        ("from _utils.inner import (\n    other,\n)", {*INNER, "_utils/inner/other.py"}),
        ("sys.path.append('../_utils')\nimport unused", {"_utils/unused.py"}),
        ("await f()\nimport _utils.unused", {"_utils/unused.py"}),
        ("command = ['python', '../_utils/unused.py']", {"_utils/unused.py"}),
        ("f'python {src}/_utils/unused.py'", {"_utils/unused.py"}),
        ("import common", {"common.py"}),
        ("from other.helpers import x", OTHER),
        ("from ..other import helpers", OTHER),
        ("sys.path.append('../other')\nimport helpers", OTHER),
        ("sys.path.append(str(Path(__file__).parents[1] / 'other'))\nimport helpers", OTHER),
        ("(Path(__file__).parents[2] / 'resources/data/a.csv').open()", {"resources/data/a.csv"}),
        ("Path('../../resources', 'data').glob('*')", {"resources/data/a.csv"}),
        ("open(f'../../resources/data/{name}')", {"resources/data/deep/b.csv"}),
        ("glob('../../resources/data/*.csv')", {"resources/data/a.csv"}),
        ("open('../../outputs/left.csv')", set()),
        ("frame.eval('a + b') + '...'", set()),
        ("plt.plot(x, '-m'), model.eval()", set()),
        ("import re\nre.compile('\\d')", set()),  # Python warns of this
        ("sys.path.append('../..')\nfrom lib.deep import x", {"lib/deep.py"}),
        ("import common\n" + "# long\n" * 200_000, {"common.py"}),
    ],
)
def test_what_a_source_names_is_used(root, source, files):
    found = used(root, source)
    assert found >= files and bool(found) == bool(files)


@pytest.mark.parametrize(
    "source",
    [
        "import importlib\nimportlib.import_module(name)",
        "run(['python', '-m', 'common'])",
        "run('python -m common', shell=True)",
        "import builtins as b\nb.eval(text)",
        "from _utils.inner import *",
        "from importlib import import_module as get\nget('_utils.unused')",
        "load = __import__",
        "open(os.path.expandvars('$DATA/a.csv'))",
        "exec(text)",
        "open('../' + name)",
        "open(f'../../{name}')",
        "open('../../resources/data/%s.csv' % name)",
        "open(Path(__file__).parents[1] / name)",
        "open(Path(__file__).parents[1].joinpath(name) / 'a.csv')",
        "sys.path.append(str(Path(__file__).parents[1] / name))",
        "ROOT = Path(__file__).resolve().parents[2]",  # a module that imports it may read anything
        "ROOT = os.path.dirname(os.path.dirname(__file__))",
        "join(Path.cwd().parent, 'resources', name)",
        "list(Path(__file__).parent.parent.rglob('*.sql'))",
        "os.environ['COUNTRY']",
        "from os import environ\ndict(environ)",
        "pd.read_csv('https://example.org/a.csv')",
        "x = f's3://{bucket}/a.csv'",
        "this is no Python _utils",
        pytest.param("open('/home')", marks=not_on_windows("it has no /home")),
    ],
)
def test_what_a_source_does_by_computed_names_cannot_be_known(root, source):
    reasons = unknown(root, source)
    assert reasons
    for reason in reasons:
        assert reason.startswith(("src/step/run.py has ", "its source names the folder /home"))


@pytest.mark.parametrize(
    "cell",
    [
        "files = !ls\nimport _utils.unused",
        "!pip install \\\n  x\nimport _utils.unused",
        "%matplotlib inline\nimport _utils.unused",
        "%time import _utils.unused",
        "for x in y:\n    %time f(x)\nimport _utils.unused",
        "%%capture out\n!ls\nimport _utils.unused",
        "?raw\nraw.head??\nimport _utils.unused",
        "x = a %\\\n  b\nimport _utils.unused",
        "%run ../_utils/unused.py",
        "!python ../_utils/unused.py",
        "!python -m _utils.unused",
        "%%bash\ncd .. && python _utils/unused.py",
    ],
)
def test_commands_in_a_notebook_hide_nothing(root, cell):
    assert "_utils/unused.py" in used(root, notebook("x = 1", cell), "src/step/book.ipynb")


@pytest.mark.parametrize(
    "text",
    [notebook("/f x\nimport _utils.unused"), notebook("%%sql\nselect 1"), "{}", "[1]", "", "{"],
)
def test_a_notebook_that_cannot_be_read_cannot_be_known(root, text):
    reasons = unknown(root, text, "src/step/book.ipynb")
    assert reasons and all(each.startswith("src/step/book.ipynb has ") for each in reasons)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("book.ipynb", notebook("!curl -O https://example.org/a.csv")),
        ("book.ipynb", notebook("%%bash\nwget -q 's3://bucket/a.csv'")),
        ("go", "#!/bin/sh\n# fetches\ncurl -O https://example.org/a.csv\n"),
        ("run.sh", "curl -O https://example.org/a.csv\n"),
        ("run.R", 'read.csv("https://example.org/a.csv")\n'),
    ],
)
def test_what_a_command_downloads_cannot_be_known(root, path, text):
    write(root / "src/step/run.py", "")
    reasons = unknown(root, text, f"src/step/{path}")
    assert reasons and all(each.startswith(f"src/step/{path} has `") for each in reasons)


@not_on_windows("the file would be at the root of the drive")
def test_a_regular_expression_is_no_path_from_the_root_of_a_drive(root):
    write(root / "\\some", "")
    assert used(root, r"re.split(r'\s*', text) + re.split(r'/\s*', text)") == set()


def test_a_url_in_a_comment_of_a_script_downloads_nothing(root):
    assert not unknown(root, "#!/bin/sh\n# See https://example.org\necho 1\n", "src/step/go")


def test_a_large_notebook_is_read(root):
    cells = ["# long\n" * 200_000, "import common"]
    assert used(root, notebook(*cells), "src/step/book.ipynb") >= {"common.py"}


def test_commands_and_scripts_count(root):
    write(root / "src/step/run.py", "")
    found = used(root, "command: python ../_utils/unused.py x", "src/step/MLproject")
    assert found == {"_utils/unused.py"}
    found = used(root, "command: python -m common", "src/step/MLproject")
    assert found == {"common.py"}
    write(root / "src/step/MLproject", "command: python ../_utils/unused.py x")
    found = used(root, "#!/bin/sh\nPYTHONPATH=.. python -m common", "src/step/go")
    assert found == {"_utils/unused.py", "common.py"}
    found = used(root, "#!/usr/bin/env python\nfrom other import helpers", "src/step/start")
    assert found == {*OTHER, "common.py", "step/go"}


def test_what_is_no_python_beside_a_module_counts(root):
    for name in ("query.sql", "inner/words.json", "inner/page.html", "never/used/x.csv"):
        write(root / "src/_utils" / name, "")
    found = used(root, "import _utils.unused")
    assert found == {
        *("_utils/__init__.py", "_utils/unused.py", "_utils/query.sql", "_utils/inner/words.json"),
        *("_utils/inner/page.html", "_utils/never/used/x.csv"),
    }


def test_what_tools_leave_in_a_component_is_neither_code_nor_committed(root):
    left = [
        "condaenv.a1b2c3d4.requirements.txt",
        "mlruns/0/meta.yaml",
        "mlflow.db",
        "mlflow.db.lock",
    ]
    left += ["__pycache__/run.pyc", ".pytest_cache/x", ".DS_Store", "._run.py", "Thumbs.db"]
    for name in left:
        write(root / "src/step" / name, "")
    assert used(root, "glob('*')") == set()
    paths = [f"src/step/{name}" for name in left]
    assert git("check-ignore", *paths, cwd=ROOT).splitlines() == paths


def test_the_folder_for_temporary_files_is_no_source_whatever_tmpdir_says(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)  # not that of the tests
    assert all(map(SYSTEM.fullmatch, ["/tmp", "/private/tmp", tempfile.gettempdir()]))
    assert not SYSTEM.fullmatch("/tmp/data.csv")


@NO_LINKS
def test_links_count_by_what_they_point_to(root):
    write(root / "elsewhere/deep/x.csv", "")
    (root / "src/step/data").symlink_to(root / "elsewhere")
    (root / "elsewhere/deep/up").symlink_to(root / "elsewhere")  # round in circles
    (root / "src/step/common.py").symlink_to(root / "src/common.py")
    assert used(root, "") == {"step/data/deep/x.csv", "step/common.py"}


@pytest.mark.parametrize(
    ("value", "files"),
    [
        ("resources/data/a.csv", ["a.csv"]),
        ("../../resources/data/a.csv", ["a.csv"]),
        ("{root}/resources/data/a.csv", ["a.csv"]),
        ("file://{root}/resources/data/a.csv", ["a.csv"]),
        ("~/a%20b.csv", ["a%20b.csv"]),
        ("{root}/home/a [1].csv", ["a [1].csv"]),
        ("file://{root}/home/a%20[1].csv", ["a [1].csv"]),
        ("file://{root}/home/a%2520b.csv", ["a%20b.csv"]),
        ("resources/data", ["a.csv", "b.csv"]),
        ("resources/data/*.csv", ["a.csv"]),
        ("first=resources/data/a.csv", ["a.csv"]),
        ("resources/data/a.csv nowhere.csv", ["a.csv"]),
        ("Rows of resources", []),
        ('["x", {"y": "resources/data/a.csv"}]', ["a.csv"]),
        ("raw_data.parquet:latest", []),
        ("models:/a@champion", []),
        ("", []),
        (".", []),
        ("~nobody/a.csv", []),
    ],
)
def test_a_local_file_counts_whatever_its_parameter_is_called(root, monkeypatch, value, files):
    write(root / "home/a%20b.csv", "")
    write(root / "home/a [1].csv", "")
    for variable in "HOME", "USERPROFILE":  # the latter is that of Windows
        monkeypatch.setenv(variable, str(root / "home"))
    found, reasons = named_by({"any": value.replace("{root}", str(root))}, root / "src/step")
    assert ([path.name for path in found], reasons) == (files, [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("https://example.org/a.csv", "it reads a URL"),
        ("https://example.org/a.csv?in={root}/resources&x=1", "it reads a URL"),
        ('["s3://bucket/a.csv"]', "it reads a URL"),
        ("simplecache::s3://bucket/a.csv", "it reads a URL"),
        ("postgresql+psycopg://host/cars", "it reads a URL"),
        ("{root}", "its parameter any names the folder {root}"),
        ('["models:/a@champion"]', "its parameter any names more than a model"),
    ],
)
def test_what_a_value_names_elsewhere_cannot_be_known(root, value, reason):
    files, reasons = named_by({"any": value.replace("{root}", str(root))}, root / "src/step")
    assert (files, reasons[:1]) == ([], [reason.replace("{root}", str(root))])


@pytest.mark.parametrize("component", REUSABLE)
def test_all_is_known_of_the_components_that_there_are(component):
    folder = ROOT / "src" / component
    files, unknown = sources_of(folder)
    assert not unknown
    src = [path.relative_to(ROOT / "src").parts for path in files]  # nothing is outside
    assert {parts[0] for parts in src} <= {folder.name, "_utils"}
    assert not {"pipeline", "sweeps", "backends"} & {parts[1] for parts in src}
