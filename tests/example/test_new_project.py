"""`mlflow run . -e new_project -P name=churn`: what is left runs, and passes its tests."""

import re
import shutil

import pytest
import yaml
from conftest import ROOT, clone, git, store_of, type_in

from _utils.errors import UserError
from _utils.example import new_project
from _utils.example.new_project import COMPONENTS, without


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("skeleton"), store=True)
    ran = type_in(folder, "mlflow run . -e new_project -P name=churn --env-manager local")
    assert ran.returncode == 0, ran.stdout
    assert "mlflow run ." in ran.stdout
    return folder


@pytest.mark.slow
class TestTheSkeleton:
    def test_nothing_of_the_example_is_left(self, skeleton):
        words = "|".join([*COMPONENTS, "fuel_economy", "epa", "train_model", "mpg"])
        apart = ("MLpipeline.md", "LICENSE", "tests", "resources")
        found = type_in(skeleton, f"git grep -wE '{words}' -- {' '.join(f':!{a}' for a in apart)}")
        assert found.stdout == ""
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


@pytest.mark.parametrize("name", ["1st", "my-project", "null", "a b", "../x"])
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
    shutil.rmtree(folder / ".git")
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
    shutil.rmtree(folder / ".git")
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
    kept = f"Files that git does not track were kept in {folder}/src/_utils/example, {folder}"
    assert kept in capsys.readouterr().out
    assert all((folder / file).read_text() == "mine" for file in mine + ignored)
    assert sorted(outside.rglob("*")) == data
    assert not (folder / "src/eda/eda.ipynb").exists() and not (folder / "src/data_check").exists()
    assert "name: churn" in (folder / "MLproject").read_text()


def test_it_knows_all_files_of_the_example():
    """After a file was added: the command in the message brings gone.txt up to date."""
    folders = [*(f"src/{name}" for name in COMPONENTS), "benchmarks", "notebooks/eda", "search"]
    folders += ["src/_utils/example", "resources/data", "resources/images/mlflow_ui.png"]
    folders += ["tests/example", "tests/_utils/example"]
    folders += [f"tests/src/test_{name}.py" for name in COMPONENTS]
    command = f"git ls-files {' '.join(folders)}"
    present = type_in(ROOT, command).stdout.splitlines()
    assert present == new_project.GONE, f"{command} > src/_utils/example/new_project/gone.txt"


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


def test_the_example_has_the_scaffolds_environments():
    """So a new component shares one with the example."""
    templates = ROOT / "cookie-mlflow-step/templates"
    for component, kind in {"eda": "notebook", "basic_cleaning": "script"}.items():
        own = (ROOT / "src" / component / "conda.yml").read_text()
        assert own == (templates / f"conda.{kind}.yml").read_text()
