"""The template of a component, as a user calls it."""

import subprocess
import sys

import pytest
from conftest import ROOT, type_in
from mlflow.projects.utils import load_project


def scaffold(project, *answers):
    command = ["cookiecutter", "cookie-mlflow-step", "-o", "src", "--no-input", *answers]
    ran = type_in(project, " ".join(command))
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("parameters", "declared"),
    [("one,two", ["one", "two"]), ("'one, two'", ["one", "two"]), ("''", [])],
)
def test_it_makes_a_component(tmp_path, parameters, declared):
    ran = type_in(
        ROOT,
        f"cookiecutter cookie-mlflow-step -o {tmp_path} --no-input "
        f"step_name=my_step parameters={parameters}",
    )
    assert ran.returncode == 0, ran.stdout
    made = tmp_path / "my_step"
    assert {file.name for file in made.iterdir()} == {"MLproject", "conda.yml", "run.py"}
    entry_point = load_project(str(made)).get_entry_point("main")
    assert [*entry_point.parameters] == declared
    compile((made / "run.py").read_text(), "run.py", "exec")
    ruff = [sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml", made]
    assert subprocess.run(ruff, capture_output=True).returncode == 0


@pytest.mark.slow
def test_what_it_makes_runs(project, store):
    scaffold(project, "step_name=my_step", "parameters=one,two")
    given = "{my_step: {parameters: {one: 1, two: 'a, b'}}}"
    ran = type_in(project, f'python main.py main.steps=my_step "+components={given}"')
    assert ran.returncode == 0, ran.stdout
    (run,) = store.children(store.pipeline())
    assert run.data.params == {"one": "1", "two": "'a, b'"}
    type_in(project, "rm -r src/my_step")
