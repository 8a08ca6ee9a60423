"""The pipeline as a user runs it: every command here is typed into a shell, in a clean clone."""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, type_in

import tasks

pytestmark = pytest.mark.slow

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
COMPONENTS = CONFIG["main"]["execute_steps"]


def names(runs):
    return [run.info.run_name for run in runs]


def run_of(store, component):
    """The component's run in the session's first pipeline, the one of all components."""
    return next(run for run in whole(store) if run.info.run_name == component)


def whole(store):
    pipelines = [run for run in store.runs() if run.info.run_name == "pipeline: all steps"]
    return next(
        children for run in pipelines if len(children := store.children(run)) == len(COMPONENTS)
    )


@pytest.fixture
def typed(project):
    """Types a command in the project, and expects it to succeed."""

    def typed(command, **variables):
        ran = type_in(project, command, **variables)
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    return typed


class TestWholePipeline:
    def test_the_terminal_tells_the_story(self, ran_once):
        text = (ran_once / "outputs/terminal.txt").read_text()
        for number, component in enumerate(COMPONENTS, start=1):
            assert f"{number}/{len(COMPONENTS)} {component}" in text
            assert re.search(rf"│ {component} +│ FINISHED │ +\d+\.\d +│", text)
        assert "See it: python tasks.py ui, then http://127.0.0.1:5000/#/experiments/" in text
        assert not re.search(r"Traceback|\b[Ww]arning", text)

    def test_one_run_with_a_child_for_each_component(self, store):
        assert names(whole(store)) == COMPONENTS
        assert {run.info.status for run in whole(store)} == {"FINISHED"}

    def test_the_pipelines_run_has_its_config(self, store, tmp_path):
        parent = whole(store)[0].data.tags["mlflow.parentRunId"]
        pipeline = store.client.get_run(parent)
        assert pipeline.info.status == "FINISHED"
        assert "max_tfidf_features: 100" in store.text(pipeline, "config.yaml", tmp_path)
        mae = run_of(store, "evaluation").data.metrics["mae"]
        assert pipeline.data.metrics["evaluation.mae"] == mae

    def test_every_component_has_its_record(self, store, tmp_path):
        for run in whole(store):
            assert run.data.params
            assert "mlflow==" in store.text(run, "requirements.txt", tmp_path)

    def test_inputs_are_pinned_to_the_outputs_of_this_pipeline(self, store):
        raw = run_of(store, "data_extraction").data.tags["output.raw_data.parquet"]
        cleaning = run_of(store, "basic_cleaning")
        assert cleaning.data.params["input_artifact"] == f"raw_data.parquet:{raw}"
        assert cleaning.data.tags["input.raw_data.parquet"] == raw
        used = [data.dataset for data in cleaning.inputs.dataset_inputs]
        contract = cleaning.data.tags["input.contract.yaml"]
        both = {"raw_data.parquet": raw, "contract.yaml": contract}
        assert {data.name: data.digest for data in used} == both

    def test_eda_leaves_a_page_that_opens_offline(self, store, tmp_path):
        run = run_of(store, "eda")
        assert "eda.html" in store.files(run)
        assert len(store.files(run, "figures")) > 3
        page = store.text(run, "eda.html", tmp_path)
        assert not re.findall(r"""(?:src|href|import\(|from)\s*=?\s*["'](?:https?:)?//""", page)
        assert page.count("data:image/png;base64") > 3

    def test_the_checks_are_on_record(self, store, tmp_path):
        run = run_of(store, "data_check")
        assert run.data.metrics == {"checks": 4, "checks_failed": 0}
        assert "passed: test_data.py::test_schema" in store.text(run, "checks.txt", tmp_path)

    def test_training_leaves_a_model(self, store, project):
        run = run_of(store, "train_random_forest")
        assert run.data.params["random_forest.n_estimators"] == "100"
        metrics = run.data.metrics
        assert metrics["validation_score"] == metrics["validation_mae"] < 2
        (output,) = run.outputs.model_outputs
        model = store.client.get_logged_model(output.model_id)
        files = {file.path for file in store.client.list_logged_model_artifacts(model.model_id)}
        assert {"MLmodel", "requirements.txt", "input_example.json", "contract.yaml"} <= files

    def test_the_model_beats_the_mean_by_far(self, store):
        metrics = run_of(store, "evaluation").data.metrics
        assert metrics["mae"] < metrics["baseline_mae"] / 2
        assert metrics["r2"] > 0.7
        assert metrics["mae_low"] < metrics["mae"] < metrics["mae_high"]
        figures = {"predicted_against_actual.png", "residuals.png", "feature_importance.png"}
        tables = {"scores_by_class.csv", "feature_importance.csv", "evaluation.html"}
        assert figures | tables <= store.files(run_of(store, "evaluation"))

    def test_nothing_is_left_beside_the_code(self, project):
        left = type_in(project, "git status --porcelain").stdout
        assert left == ""


def test_a_components_parameters_reproduce_it(typed, store):
    before = run_of(store, "basic_cleaning")
    # As logged: MLflow quotes the values for a shell.
    given = " ".join(f"-P {key}={value}" for key, value in before.data.params.items())
    typed(f"mlflow run src/basic_cleaning --env-manager local {given}")
    again = store.runs("Default")[0]
    assert (
        again.data.tags["output.clean_data.parquet"]
        == (before.data.tags["output.clean_data.parquet"])
    )


@pytest.mark.parametrize(
    "command",
    [
        "mlflow run . -P steps=download,basic_cleaning",
        "mlflow run . \\\n  -P steps=train_model \\\n"
        '  -P hydra_options="modeling.random_forest.n_estimators=10"',
    ],
)
def test_no_option_is_needed_without_conda(command, typed, tmp_path, monkeypatch):
    """With what tasks.py writes into .venv; these tests may run in another environment."""
    packages = tmp_path / "lib/python3/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(tasks, "VENV", tmp_path)
    tasks.add_hook()
    (packages / "sitecustomize.py").write_text("import mlflow_without_conda\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    command = f"unset CONDA_EXE MLFLOW_CONDA_HOME; PATH='{path}'; {command}"
    text = typed(command, PYTHONPATH=str(packages))
    assert text.count("No conda here: mlflow runs with --env-manager local\n") == 1


class TestMainPy:
    """Without MLflow's launcher; it takes Hydra's own syntax."""

    def test_what_is_not_in_execute_steps_does_not_run(self, typed, store):
        """In an experiment by the environment; and without wandb being imported."""
        text = typed(
            "python -X importtime main.py main.execute_steps=[data_extraction] "
            "main.reuse=false main.warm_start=false",
            MLFLOW_EXPERIMENT_NAME="by_environment",
            PYTHONPROFILEIMPORTTIME="1",
        )
        pipeline = store.pipeline("by_environment")
        assert pipeline.info.run_name == "pipeline: all steps"
        assert names(store.children(pipeline, "by_environment")) == ["data_extraction"]
        assert text.count("| mlflow\n") == 2  # main.py and the component
        assert "| wandb\n" not in text.replace(" ", "")


@pytest.fixture(scope="module")
def by_option(project):
    """`steps`, `--experiment-name` and two values full of what means something to a shell."""
    values = {
        "description": 'a, [b] {c}: d=e it\'s "quoted"',
        "type": "; touch hacked; $(touch hacked) `touch hacked` *",
    }
    key = "components.data_extraction.parameters.artifact"
    options = []
    for name, value in values.items():
        escaped = value.replace("'", "\\'")
        options.append(f"{key}_{name}='{escaped}'")
        if "/" not in value:
            (project / "outputs" / value).write_text("a file of that name")
    command = "mlflow run . --env-manager local --experiment-name by_option -P steps=download"
    ran = type_in(project, f"{command} -P {shlex.quote('hydra_options=' + ' '.join(options))}")
    assert ran.returncode == 0, ran.stdout
    return values


def test_an_alias_in_an_experiment_by_option(by_option, store):
    pipeline = store.pipeline("by_option")
    assert pipeline.info.run_name.startswith("pipeline: download, artifact_description=")
    assert names(store.children(pipeline, "by_option")) == ["data_extraction"]


def test_any_text_arrives_unchanged(by_option, store, project):
    (run,) = store.children(store.pipeline("by_option"), "by_option")
    published = json.loads(run.data.tags["artifact.raw_data.parquet"])
    for name, value in by_option.items():
        assert published[name] == value
    assert not list(project.rglob("hacked"))


def test_another_data_file_and_steps_in_any_order(typed, store):
    new = "data.file_url=resources/data/epa_fuel_economy_2021.csv main.experiment_name=cars_2021"
    typed(f"python main.py --steps='basic_cleaning, data_extraction' {new}")
    pipeline = store.pipeline("cars_2021")
    changed = "file_url=resources/data/epa_fuel_economy_2021.csv"
    assert pipeline.info.run_name == f"pipeline: basic_cleaning, data_extraction, {changed}"
    assert pipeline.data.params["data.file_url"] == "resources/data/epa_fuel_economy_2021.csv"
    extraction, cleaning = store.children(pipeline, "cars_2021")
    assert names([extraction, cleaning]) == ["data_extraction", "basic_cleaning"]
    assert extraction.data.metrics["rows"] == 1108
    assert cleaning.data.metrics["unknown_codes"] == 31
