"""What runs again and what is reused, as a user sees it, in a clone in which all ran once."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import COMPONENTS, ENVIRONMENT, ROOT, clone, store_of, type_in

pytestmark = pytest.mark.slow

RAW = "resources/data/epa_fuel_economy_2012.csv"


@pytest.fixture(scope="module")
def project(ran_once, tmp_path_factory):
    """A copy for this file alone; its tests leave files as they found them."""
    folder = tmp_path_factory.mktemp("reuse") / "project"
    shutil.copytree(ran_once, folder, ignore=shutil.ignore_patterns("mlruns"))
    return folder


def not_reused(text):
    told = re.findall(r"^\d/\d (\w+) (reused|\()", text, re.MULTILINE)
    return [name for name, how in told if how == "("]


@pytest.fixture
def run(project):
    """Runs the pipeline; returns which components ran, the others being reused, and the text."""

    def run(arguments=""):
        ran = type_in(project, f"python main.py {arguments}")
        assert ran.returncode == 0, ran.stdout
        return not_reused(ran.stdout), ran.stdout

    return run


@pytest.fixture
def planned(project):
    """Plans it; returns each component's line, and what the rest tells."""

    def planned(arguments=""):
        ran = type_in(project, f"python main.py main.plan=true {arguments}")
        assert ran.returncode == 0, ran.stdout
        return dict(
            re.findall(r"^(?:run|reuse) +(\w+)  (.*)$", ran.stdout, re.MULTILINE)
        ), ran.stdout

    return planned


@pytest.fixture
def edited(project):
    """Changes files of the clone for the time of a test."""
    originals = {}

    def edit(file, text):
        originals.setdefault(file, (project / file).read_text())
        (project / file).write_text(originals[file] + text)

    yield edit
    for file, text in originals.items():
        (project / file).write_text(text)


def test_nothing_changed(run, project, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPROFILEIMPORTTIME", "1")
    ran, text = run()
    assert ran == []
    # Neither libraries of the components, nor those of a server
    imported = {*re.findall(r"^import time: .*\| +(\S+)", text, re.MULTILINE)}
    assert "sqlalchemy" in imported
    assert not imported & {"sklearn", "werkzeug.serving", "IPython.core"}
    store = store_of(project)
    pipeline = store.pipeline()
    children = store.children(pipeline)
    assert [child.info.run_name for child in children] == COMPONENTS
    assert {child.info.status for child in children} == {"FINISHED"}
    for child in children:
        source = store.client.get_run(child.data.tags["reused_from"])
        assert source.info.run_name == child.info.run_name
        assert source.data.metrics == child.data.metrics
        assert source.data.params == child.data.params
        assert source.info.run_id in child.data.tags["mlflow.note.content"]
        assert re.search(rf"│ {child.info.run_name} +│ REUSED +│", text)
        assert re.search(rf"{child.info.run_name} reused from {source.info.run_id}", text)
    evaluation = children[COMPONENTS.index("evaluation")]
    assert pipeline.data.metrics["evaluation.mae"] == evaluation.data.metrics["mae"]


def test_what_depends_on_a_parameter_and_what_is_named_run_again(run, planned):
    options = "modeling.random_forest.n_estimators=7"  # no other test has it
    plan, text = planned(options)
    # Other values may be named too: the last run may have had any.
    assert re.search(r"parameter random_forest.n_estimators \d+ -> 7", plan["train_random_forest"])
    assert plan["evaluation"] == "random_forest will be new"
    assert "-> random_forest:?" in text
    steps = "main.steps=[basic_cleaning,data_split,train_random_forest,evaluation]"
    ran, text = run(f"{options} {steps} main.rerun=[basic_cleaning]")
    # data_split is reused, for the bytes come out the same
    assert ran == ["basic_cleaning", "train_random_forest", "evaluation"]
    assert re.search(r"parameter random_forest.n_estimators \d+ -> 7", text)
    plan, _ = planned(options)
    assert plan["evaluation"].startswith("same as run")


def test_code_reruns_what_imports_it(planned, project, edited):
    before = len(store_of(project).runs())
    of_split, nobodys = ["src/_utils/tabular/splitting.py"], "src/_utils/component/shell.py"
    of_eda = ["src/_utils/component/notebook.py", "src/eda/conda.yml"]
    for file in [*of_split, *of_eda, nobodys]:
        edited(file, "\n# a comment\n")
    plan, text = planned()
    assert list(plan) == COMPONENTS
    for name, files in ("data_split", of_split), ("eda", of_eda):
        assert sorted(re.findall(r"([\w./]+) changed", plan[name])) == files
    for name in "basic_cleaning", "data_check":
        assert plan[name].startswith("same as run")
    assert nobodys not in text
    assert len(store_of(project).runs()) == before


def test_a_changed_byte_is_refused_and_what_is_gone_is_made_again(run, project):
    store = store_of(project)
    # Brackets in a value are no markup of the terminal's.
    options = "main.steps=basic_cleaning cleaning.rules='' "
    options += "'cleaning.unknown_codes=[\"[/x]\"]'"
    assert 'parameter unknown_codes ["??"] -> ["[/x]"]' in run(options)[1]
    (made,) = store.children(store.pipeline())
    folder = Path(made.info.artifact_uri.removeprefix("file://")) / "artifacts"
    (file,) = folder.glob("clean_data.parquet/*/clean_data.parquet")
    with file.open("r+b") as stream:
        stream.write(b"X")
    ran = type_in(project, "python main.py --steps=data_check main.reuse=false")
    assert ran.returncode == 1
    digest = made.data.tags["output.clean_data.parquet"]
    assert f"Artifact 'clean_data.parquet:{digest}' was changed" in ran.stdout
    assert "expected SHA-256" in ran.stdout and "found" in ran.stdout
    assert "main.rerun=[<component>]" in ran.stdout

    shutil.rmtree(folder)
    ran, text = run(options)
    assert ran == ["basic_cleaning"]
    assert "basic_cleaning (its artifacts are gone, or cannot be reached)" in text


def test_in_another_clone_and_experiment_the_same_store_and_bytes_serve(project, tmp_path):
    other = clone(tmp_path / "other")
    shutil.copy(other / RAW, tmp_path / "moved.csv")
    store = f"MLFLOW_TRACKING_URI=sqlite:///{project}/mlflow.db"
    command = f"{store} python main.py main.experiment_name=elsewhere"
    ran = type_in(other, f"{command} data.file_url={tmp_path}/moved.csv")
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count(" reused from ") >= len(COMPONENTS) - 1
    assert not_reused(ran.stdout) == ["data_extraction"]
    ran = type_in(other, f"{command} main.steps=eda")
    assert "1/1 eda reused" in ran.stdout  # `latest` is what was reused there


class TestPlan:
    def test_in_a_fresh_clone_nothing_is_left(self, tmp_path):
        folder = clone(tmp_path / "clone")
        ran = type_in(folder, "python main.py main.plan=true")
        assert ran.returncode == 0, ran.stdout
        assert "run   data_extraction  never ran" in ran.stdout
        left = type_in(folder, "git status --porcelain --ignored").stdout
        assert "mlflow" not in left and "mlruns" not in left

    def test_nothing_is_run_or_recorded(self, project):
        before = len(store_of(project).runs())
        ran = type_in(project, "mlflow run . -e plan --env-manager local")
        assert "reuse eda  same as run" in ran.stdout
        assert "reuse data_extraction  same as run" in ran.stdout
        assert len(store_of(project).runs()) == before

    def test_the_diagram_of_the_documentation(self, project):
        diagram = type_in(project, "python main.py main.plan=mermaid").stdout
        assert f"```mermaid\n{diagram}```" in (ROOT / "MLpipeline.md").read_text()
