"""From a file to a champion, and to an alarm, by the commands of the README."""

import re

import pandas as pd
import pytest
import yaml
from conftest import clone, store_of, type_in
from sample_tables import TABLES, make_table, shifted, write_csv


def typed(folder, command: str) -> str:
    ran = type_in(folder, f"{command} --env-manager local")
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


# Two of them each night only: a pipeline of each takes a minute
OFTEN = ["breast_cancer", "unpleasant"]
MARKS = {name: () if name in OFTEN else pytest.mark.nightly for name in TABLES}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=MARKS[name]) for name in TABLES])
def table(request, tmp_path_factory):
    """The folder of a project for each table, in which the pipeline ran once; and what it printed.

    New data lie outside, in `new.csv`: all decimals are shifted.
    """
    place, name, target = (
        tmp_path_factory.mktemp(request.param),
        request.param,
        TABLES[request.param],
    )
    folder = clone(place / "project", store=True)
    data = write_csv(make_table(name), place / f"{name}.csv")
    write_csv(shifted(make_table(name), target), place / "new.csv")
    options = f"-P name={name} -P data={data} -P target={target}"
    printed = typed(folder, f"mlflow run . -e new_project {options}")
    printed += typed(folder, "mlflow run .")
    return folder, printed


@pytest.mark.slow
class TestYourTable:
    def test_the_first_run_makes_a_champion(self, table):
        folder, printed = table
        store = store_of(folder)
        steps = yaml.safe_load((folder / "config.yaml").read_text())["main"]["execute_steps"]
        assert [run.info.run_name for run in store.children(store.pipeline())] == steps
        assert store.client.get_model_version_by_alias(folder.parent.name.rstrip("0"), "champion")
        assert "Promoted version 1" in printed

    def test_its_last_line_says_how_new_data_are_added(self, table):
        lines = [line for line in table[1].splitlines() if "mlflow.projects" not in line]
        assert lines[-1] == (
            "No new data yet. To score and monitor them: mlflow run . -P steps=batch_scoring,"
            'monitoring -P hydra_options="data.new_file_url=<path>"'
        )

    def test_the_model_is_better_than_the_baseline(self, table):
        store = store_of(table[0])
        metrics = store.children(store.pipeline())[-1].data.metrics
        if "roc_auc" in metrics:
            assert metrics["roc_auc"] > 0.9 > metrics["baseline_roc_auc"]
        else:
            assert metrics["mae"] < 0.85 * metrics["baseline_mae"]

    def test_shifted_data_raise_the_alarm(self, table):
        new = table[0].parent / "new.csv"
        steps = "-P steps=batch_scoring,monitoring"
        printed = typed(table[0], f"mlflow run . {steps} -P hydra_options=data.new_file_url={new}")
        assert "ALARM" in printed
        store = store_of(table[0])
        monitoring = store.children(store.pipeline())[-1]
        assert monitoring.data.metrics["alarm"] == 1
        assert monitoring.data.metrics["drifted_columns"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("table", ["unpleasant"], indirect=True)
class TestAfterwards:
    def test_nothing_runs_twice(self, table):
        typed(table[0], "mlflow run . -P hydra_options=main.experiment_name=development")
        store = store_of(table[0])
        newest = store.children(store.pipeline())
        assert all("reused_from" in str(run.data.tags) for run in newest), newest

    def test_the_same_data_raise_none(self, table):
        folder = table[0]
        config = yaml.safe_load((folder / "config.yaml").read_text())
        url = config["data"]["file_url"]
        steps = "-P steps=batch_scoring,monitoring"
        printed = typed(folder, f"mlflow run . {steps} -P hydra_options=data.new_file_url={url}")
        assert "No alarm" in printed

    def test_an_alarm_retrains_with_labels_that_arrived_later(self, table):
        folder, new, late = (table[0], *(table[0].parent / name for name in ("rows.csv", "y.csv")))
        rows = pd.read_csv(table[0].parent / "new.csv", dtype="str", keep_default_na=False)
        rows.drop(columns="gone").to_csv(new, index=False)
        rows[["customer_id", "gone"]].to_csv(late, index=False)
        options = f'"data.new_file_url={new} monitoring.labels_url={late} main.on_alarm=retrain"'
        printed = typed(
            folder, f"mlflow run . -P steps=batch_scoring,monitoring -P hydra_options={options}"
        )
        assert "Back to step 1" in printed
        rows = len(make_table(folder.parent.name.rstrip("0")))
        store = store_of(folder)
        retraining = store.children(store.pipeline())[-1]
        of_step = {run.info.run_name: run.data.metrics for run in store.children(retraining)}
        assert of_step["data_extraction"]["rows"] == 2 * rows
        assert of_step["basic_cleaning"]["rows_out"] > 1.9 * rows


@pytest.mark.slow
@pytest.mark.parametrize("table", ["breast_cancer"], indirect=True)
def test_a_sweep_ranks_models_of_classes(table):
    """The README's command, with fewer values."""
    values = "modeling.random_forest.n_estimators=5,10 modeling.random_forest.max_features=2,4 -m"
    command = f'mlflow run . -P steps=train_random_forest -P hydra_options="{values}"'
    printed = typed(table[0], command)
    assert "validation_score" in printed and "Train the best again" in printed


@pytest.mark.slow
@pytest.mark.parametrize("table", ["breast_cancer"], indirect=True)
def test_another_algorithm_takes_the_same_place(table):
    steps = "mlflow run . -P steps=train_gradient_boosting,evaluation"
    printed = typed(table[0], f"{steps} -P hydra_options=modeling.model=gradient_boosting")
    assert re.search(r"romoted? version 2.* version 1.*: ROC AUC", printed), printed
    store = store_of(table[0])
    *_, evaluation = store.children(store.pipeline())
    assert evaluation.data.params["model_artifact"].startswith("gradient_boosting:")
