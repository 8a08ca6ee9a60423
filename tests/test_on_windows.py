"""The pipeline and the quick tests with Python for Windows, under wine: see windows/recipe.sh."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT, Store, clone, store_of

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]
READY = "WINE_PYTHON"  # variable: a folder that recipe.sh has made, which saves some minutes
PRINTS = """
import sys
from pathlib import Path
sys.path.append(str(Path(__file__).resolve().parents[1]))
from _utils.component import launch
def go(args):
    \"\"\"Print what Windows' own encoding does not have.\"\"\"
    print("→ Łódź 日本")
if __name__ == "__main__":
    launch(go)
"""


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wine and Python for Windows."""
    if ready := os.environ.get(READY):
        return Path(ready)
    if not shutil.which("wine"):
        pytest.skip(f"needs wine (apt-get install wine wine64), or {READY}, a folder of recipe.sh")
    folder = tmp_path_factory.mktemp("wine")
    recipe = [ROOT / "tests/windows/recipe.sh", folder, ROOT / "environment.yml"]
    made = subprocess.run(recipe, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode == 3:
        pytest.skip(f"wine cannot be installed: {' '.join(made.stdout.splitlines()[-3:])}")
    assert made.returncode == 0, made.stdout
    return folder


@pytest.fixture(scope="session")
def type_on_windows(wine: Path):
    """Types a command on Windows; returns what it has printed."""

    def type_on_windows(folder: Path, command: str) -> str:
        line = f". {wine}/variables && exec wine {command} </dev/null 2>&1 | cat"
        # Not what other tests have set here, such as a tracking store
        bash = ["bash", "-c", line]
        ran = subprocess.run(bash, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE)
        return ran.stdout.decode("utf-8", errors="replace")

    return type_on_windows


@pytest.fixture(scope="module")
def project(ran_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pipeline ran once, on Linux."""
    folder = tmp_path_factory.mktemp("windows") / "Zoë Müller/my project"
    shutil.copytree(ran_once, folder, ignore=shutil.ignore_patterns("mlruns"))
    return folder


def metrics(store: Store) -> dict[str, dict[str, float]]:
    """The metrics of the last pipeline's components, by their names."""
    children = store.children(store.pipeline())
    return {run.info.run_name: run.data.metrics for run in children}


def test_a_plan_in_a_fresh_clone_leaves_nothing(type_on_windows, tmp_path):
    folder = clone(tmp_path / "fresh")
    text = type_on_windows(folder, "python main.py main.plan=true")
    assert "monitoring" in text and "WinError" not in text, text
    assert not (folder / "mlflow.db").exists()


def test_windows_reuses_the_runs_of_linux(type_on_windows, project):
    """So each cache key is the same on both."""
    text = type_on_windows(project, "mlflow run . --env-manager local")
    assert text.count("reused from") == 9 and "succeeded" in text, text


def test_the_whole_pipeline_has_the_same_figures(type_on_windows, project):
    on_linux, before = metrics(store_of(project)), store_of(project).pipeline().info.run_id
    text = type_on_windows(project, "python main.py main.reuse=false")
    assert "FAILED" not in text and "Traceback" not in text and "RuntimeWarning" not in text, text
    on_windows = metrics(store_of(project))
    assert store_of(project).pipeline().info.run_id != before, text
    assert [*on_windows] == [*on_linux] and on_windows["evaluation"]["mae"]
    for name in on_linux:  # beside another champion, evaluation has some more
        both = on_windows[name].keys() & on_linux[name].keys()
        there, here = ({key: of[name][key] for key in both} for of in (on_windows, on_linux))
        assert there == pytest.approx(here, rel=1e-4), name


@pytest.mark.parametrize("options", ["x='50 %'", 'x="a b"', "x=50%"])
def test_mlflow_run_refuses_what_it_would_change(type_on_windows, project, options):
    value = options.replace('"', r"\"")
    text = type_on_windows(project, f'mlflow run . --env-manager local -P "hydra_options={value}"')
    assert "Use `python main.py` instead" in text, text


def test_a_scaffolded_component_prints_any_character(type_on_windows, project):
    words = "step_name=prints script_name=run.py parameters=one"
    text = type_on_windows(project, f"cookiecutter cookie-mlflow-step -o src --no-input {words}")
    assert "Run it:" in text, text
    made = [project / "config.yaml", *project.rglob("*prints*.py"), *project.glob("src/prints/*")]
    assert len(made) > 4 and not [path for path in made if b"\r" in path.read_bytes()]
    (project / "src/prints/run.py").write_text(PRINTS, "utf-8")
    text = type_on_windows(project, "python main.py main.steps=prints")
    store = store_of(project)
    (run,) = store.children(store.pipeline())
    assert "→ Łódź 日本" in text and run.info.status == "FINISHED", text
    assert "→ Łódź 日本\n" in store.text(run, "log.txt", project)


def test_the_quick_tests(type_on_windows, tmp_path):
    folder = clone(tmp_path / "tests")
    text = type_on_windows(folder, 'python -m pytest -q -m "not slow and not nightly"')
    assert re.search(r"\d+ passed", text) and "failed" not in text, text
