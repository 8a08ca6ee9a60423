"""`mlflow run . -e new_project -P name=churn`: what is left runs, and passes its tests."""

import re
import shutil

import pytest
import yaml
from conftest import ROOT, clone, git, store_of, type_in
from sample_tables import make_table, write_csv

from _utils.errors import UserError
from _utils.example import new_project
from _utils.example.edit_yaml import with_values, without
from _utils.example.from_table import check_data
from _utils.example.what_goes import COMPONENTS, GONE
from _utils.tabular.contract import read_contract

# The README's, and what makes them; MLpipeline.md, which stays, shows the others
PICTURES = ["diagrams.html", "draw.py", "overview.png", "terminal.svg"]
CARS = ["fuel_economy", "epa", "mpg", "comb_mpg", "carline", "cars"]


def found_in(folder, words: str, *apart: str) -> str:
    """The lines with one of these words, but for files that may show an example."""
    files = ["MLpipeline.md", "LICENSE", "tests", "resources", *apart]
    return type_in(folder, f"git grep -wE '{words}' -- {' '.join(f':!{a}' for a in files)}").stdout


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("skeleton"), store=True)
    ran = type_in(folder, "mlflow run . -e new_project -P name=churn --env-manager local")
    assert ran.returncode == 0, ran.stdout
    assert "then python tasks.py run" in ran.stdout
    return folder


@pytest.mark.slow
class TestTheSkeleton:
    def test_nothing_of_the_example_is_left(self, skeleton):
        words = "|".join([*COMPONENTS, *CARS, "train_model"])
        assert (
            found_in(skeleton, words, "src/_utils/tabular", "src/_utils/pipeline/summary.py") == ""
        )
        assert "name: churn\n" in (skeleton / "MLproject").read_text()
        config = yaml.safe_load((skeleton / "config.yaml").read_text())
        assert config["main"]["project_name"] == "churn"
        assert [*config["components"]] == ["promotion", "serving"]

    def test_its_readme_tells_what_is_there(self, skeleton):
        readme = (skeleton / "README.md").read_text()
        assert readme.startswith("# churn\n")
        named = re.findall(r"^(    )?[├└]── ([\w.-]+)", readme, re.MULTILINE)
        paths = [skeleton / ("src" if inner else "") / name for inner, name in named]
        assert [path for path in paths if not path.exists()] == []
        assert {path.name for path in paths} >= {path.name for path in (skeleton / "src").iterdir()}

    def test_it_runs_and_says_what_comes_next(self, skeleton):
        ran = type_in(skeleton, "python main.py")
        assert ran.returncode == 0, ran.stdout
        assert "main.execute_steps of config.yaml is empty" in ran.stdout

    def test_its_tests_pass(self, skeleton):
        """Those that read its files; the machinery's are the same as here."""
        lint = "ruff check . && ruff format --check ."
        fast = "tests/test_files.py tests/cookie-mlflow-step tests/_utils/pipeline/test_alarm.py"
        ran = type_in(skeleton, f"{lint} && python -m pytest -m 'not slow' {fast}")
        assert ran.returncode == 0, ran.stdout

    def test_the_scaffold_works_in_it(self, skeleton):
        ran = type_in(skeleton, "cookiecutter cookie-mlflow-step -o src --no-input step_name=fetch")
        assert ran.returncode == 0, ran.stdout
        ran = type_in(skeleton, "python main.py")
        assert ran.returncode == 0, ran.stdout
        store = store_of(skeleton)
        assert [run.info.run_name for run in store.children(store.pipeline())] == ["fetch"]


@pytest.fixture(scope="module")
def of_wine(tmp_path_factory):
    """A project for a table that lies in its folder and is unknown to git, from what was typed."""
    folder = clone(tmp_path_factory.mktemp("of-wine"), store=True)
    (folder / "tables").mkdir()
    write_csv(make_table("wine"), folder / "tables/red wine.csv")
    ran = type_in(
        folder,
        "mlflow run . --env-manager local -e new_project -P name=wine "
        "-P 'data=tables/red wine.csv' -P target=target",
    )
    assert ran.returncode == 0, ran.stdout
    (folder / "terminal.txt").write_text(ran.stdout)
    return folder


@pytest.mark.slow
class TestWithATable:
    def test_the_guesses_are_shown_and_what_comes_next(self, of_wine):
        lines = (of_wine / "terminal.txt").read_text().splitlines()
        assert [line.split() for line in lines if line.startswith("alcohol ")] == [
            ["alcohol", "number", "true", "decimals"]
        ]
        last = [line for line in lines if "INFO mlflow" not in line][-1]
        assert last == "Next: python tasks.py run"

    def test_config_names_the_table_and_what_was_guessed(self, of_wine):
        config = yaml.safe_load((of_wine / "config.yaml").read_text())
        assert config["data"]["file_url"] == "tables/red wine.csv"
        assert config["data"]["csv"] == {"delimiter": ",", "encoding": "utf-8", "decimal": "."}
        assert config["data"]["new_file_url"] == config["cleaning"]["rules"] == ""
        assert config["main"]["execute_steps"][-1] == "evaluation"
        assert config["main"]["objective"]["direction"] == "maximize"
        of_model = {
            key: config["deployment"][key] for key in ("registered_model", "metric", "limits")
        }
        assert of_model == {"registered_model": "wine", "metric": "roc_auc", "limits": {}}
        assert config["components"]["evaluation"]["parameters"]["scores_by"] == ""
        contract = read_contract(of_wine / config["data"]["contract_url"])
        assert (contract.target, contract.task) == ("target", "classification")

    def test_nothing_but_the_contract_enters_git(self, of_wine):
        changed = type_in(
            of_wine, "git status --porcelain --untracked-files=all"
        ).stdout.splitlines()
        new = {line[3:] for line in changed if line.startswith("??")}
        assert new == {"resources/data/wine.contract.yaml", "terminal.txt"}

    def test_nothing_of_the_example_is_left(self, of_wine):
        assert found_in(of_wine, "|".join(CARS), "src/_utils/tabular/wording.py") == ""
        assert not (of_wine / "src/_utils/example/fuel_economy.py").exists()

    def test_its_readme_tells_what_is_there(self, of_wine):
        readme = (of_wine / "README.md").read_text()
        assert readme.startswith("# wine\n")
        named = re.findall(r"^(    )?[├└]── ([\w.-]+)", readme, re.MULTILINE)
        paths = [of_wine / ("src" if inner else "") / name for inner, name in named]
        assert [path for path in paths if not path.exists()] == []
        assert {path.name for path in paths} >= {path.name for path in (of_wine / "src").iterdir()}

    def test_all_of_it_can_be_planned(self, of_wine):
        for options in ("", " -P steps=infer_contract"):
            ran = type_in(of_wine, f"mlflow run . -e plan{options} --env-manager local")
            assert ran.returncode == 0, ran.stdout

    @pytest.mark.nightly
    def test_its_tests_pass(self, of_wine):
        lint = "ruff check . && ruff format --check ."
        fast = "tests/test_files.py tests/_utils/tabular tests/_utils/pipeline/test_alarm.py"
        ran = type_in(of_wine, f"{lint} && python -m pytest -m 'not slow' {fast}")
        assert ran.returncode == 0, ran.stdout


class TestData:
    def test_a_path_in_the_project_is_relative(self, tmp_path):
        (tmp_path / "x.csv").touch()
        for typed in ("x.csv", "./x.csv", str(tmp_path / "x.csv")):
            assert check_data(typed, "y", tmp_path) == "x.csv"
        (tmp_path / "project").mkdir()
        assert check_data("../x.csv", "y", tmp_path / "project") == (tmp_path / "x.csv").as_posix()

    @pytest.mark.parametrize("url", ["https://h/x.csv?design=1", "s3://b/x.csv", "${oc.env:URL}"])
    def test_a_url_stays_as_it_is(self, url, tmp_path):
        assert check_data(url, "y", tmp_path) == url

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:secret@h/x.csv",
            "https://token@h/x.csv",
            "https://h/x.csv?X-Amz-Credential=a&X-Amz-Date=b",
            "https://h/x.csv?sv=1&sig=abc",
            "https://h/x.csv?a=b&token=abc",
            "https://h/x.csv?AWSAccessKeyId=abc&Expires=1",
            "https://h/x.csv?X-Goog-Signature=abc",
        ],
    )
    def test_a_secret_is_refused(self, url, tmp_path):
        with pytest.raises(UserError, match=r"password or a signature.*\$\{oc\.env:DATA_URL\}"):
            check_data(url, "y", tmp_path)

    @pytest.mark.parametrize(
        ("data", "target", "told"),
        [
            ("x.csv", "", "data needs a target. Add -P target="),
            ("", "y", "target=y needs data. Add -P data="),
            ("x.csv", "y", r"data=x\.csv: there is no file"),
            (".", "y", r"data=\.: there is no file"),
        ],
    )
    def test_faults_are_told_before_anything_is_changed(self, data, target, told, tmp_path):
        with pytest.raises(UserError, match=told):
            check_data(data, target, tmp_path)


@pytest.mark.parametrize("name", ["1st", "my-project", "null", "a b", "../x", "Con"])
def test_what_cannot_be_a_name_is_told(name):
    told = f"'{name}' is not allowed as the name of a project. Use letters"
    with pytest.raises(UserError, match=told):
        new_project.main(name)


def test_what_git_could_not_take_back_is_refused(tmp_path, monkeypatch):
    def check_refused() -> None:
        before = {*folder.rglob("*")}
        with pytest.raises(UserError, match="Commit it first"):
            new_project.main("churn")
        assert before <= {*folder.rglob("*")}
        assert "name: mlflow_pipeline" in (folder / "MLproject").read_text()

    folder = clone(tmp_path / "clone")
    monkeypatch.setattr(new_project, "ROOT", folder)
    (folder / "src/eda/notes.txt").write_text("mine")
    check_refused()
    (folder / "src/eda/notes.txt").unlink()
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text("mine")
    check_refused()
    git("update-index", "--skip-worktree", "config.yaml", cwd=folder)  # which hides the edit
    check_refused()
    (folder / "config.yaml").write_text(config)
    # No repository but one around it, which has nothing of it
    (folder / ".git").rename(tmp_path / "git")
    (tmp_path / ".gitignore").write_text("clone\n")
    git("init", "--quiet", cwd=tmp_path)
    check_refused()


def test_without_git_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"git cannot be started.*Install it"):
        new_project.files_of_git()


def test_only_what_the_template_brought_goes(tmp_path, monkeypatch, capsys):
    """In a project that lacks some of it, has more, and lies within another repository."""
    folder, outside = tmp_path / "clone", tmp_path / "outside"
    clone(folder)
    (folder / ".git").rename(tmp_path / "git")
    shutil.rmtree(folder / "benchmarks")
    (folder / "Makefile").unlink()
    (folder / "resources").rename(outside)
    (folder / "resources").symlink_to(outside)
    mine = ["notebooks/eda/mine.ipynb", "search/mine.yaml", "src/eda/mine.py", "src/_utils/mine.py"]
    ignored = ["src/basic_cleaning/outputs/mine.csv", "src/_utils/example/.venv/mine"]
    for file in mine + ignored:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("mine")
    git("init", "--quiet", cwd=tmp_path)
    git("add", "--all", cwd=tmp_path)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    git(*author, "commit", "--quiet", "--message=all", cwd=tmp_path)
    (tmp_path / "not of this project").write_text("mine")
    data = sorted(outside.rglob("*"))
    monkeypatch.setattr(new_project, "ROOT", folder)
    new_project.main("churn")
    places = f"{folder / 'src/_utils/example'}, {folder}"
    kept = f"Files that git does not track were kept in {places}"
    assert kept in capsys.readouterr().out
    assert all((folder / file).read_text() == "mine" for file in mine + ignored)
    assert sorted(outside.rglob("*")) == data
    assert not (folder / "src/eda/eda.ipynb").exists() and not (folder / "src/data_check").exists()
    assert "name: churn" in (folder / "MLproject").read_text()


def test_it_knows_all_files_of_the_example():
    """After a file was added: the command in the message brings gone.txt up to date."""
    folders = [*(f"src/{name}" for name in COMPONENTS), "benchmarks", "notebooks/eda", "search"]
    folders += ["src/_utils/example", "resources/data"]
    folders += [f"resources/images/{name}" for name in PICTURES]
    folders += ["tests/example", *(f"tests/src/test_{name}.py" for name in COMPONENTS)]
    cars = "git grep -lE 'epa_|fuel_economy|mpg|carline' -- tests/_utils/tabular tests/src"
    command = f"(git ls-files {' '.join(folders)}; {cars}) | LC_ALL=C sort -u"
    present = type_in(ROOT, command).stdout.splitlines()
    assert present == GONE, f"{command} > src/_utils/example/new_project/gone.txt"


def test_a_test_that_stays_imports_nothing_that_goes():
    found = type_in(ROOT, "git grep -lE '(from|import) _utils[.]example' -- tests").stdout
    assert found and not {*found.splitlines()} - {*GONE}


def test_the_rule_of_line_ends_stays():
    assert (ROOT / ".gitattributes").is_file() and ".gitattributes" not in GONE


def test_keys_go_with_their_comments_and_all_below_them():
    text = """\
# Of the file

# Of a
a:
  # Of b
  b: 1
  # Of the list
  list:
    # Of x
    - x
    - y
# Of c
c:
  b:
    d: 2
# The end
"""
    left = without(text, {"a.b", "a.list.x", "c"})
    assert left == ("# Of the file\n\n# Of a\na:\n  # Of the list\n  list:\n    - y\n# The end\n")


def test_values_are_set_with_all_below_them():
    text = """\
a:
  # Of b
  b: 1  # one
  # Of c
  c:
    # Of d
    d: {e: 2}
    f:
      - 3
  # Of g
  g: [4]
# Of h
h: 5
"""
    values = {"a.b": "", "a.c": {}, "a.g": ["?"], "h": "x: y"}
    assert (
        with_values(text, values)
        == """\
a:
  # Of b
  b: ""
  # Of c
  c: {}
  # Of g
  g: ["?"]
# Of h
h: "x: y"
"""
    )
    with pytest.raises(KeyError, match=r"a\.z"):
        with_values(text, {"a.z": 1})


def test_the_example_has_the_scaffolds_environments():
    """So a new component shares one with the example."""
    templates = ROOT / "cookie-mlflow-step/templates"
    for component, kind in {"eda": "notebook", "basic_cleaning": "script"}.items():
        own = (ROOT / "src" / component / "conda.yml").read_text()
        assert own == (templates / f"conda.{kind}.yml").read_text()
