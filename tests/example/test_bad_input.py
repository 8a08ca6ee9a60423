"""What a user gets wrong: one clear message, exit status 1, nothing published."""

import shutil

import pytest
from conftest import store_of, type_in

pytestmark = pytest.mark.slow

RAW = "resources/data/epa_fuel_economy_2012.csv"


def refused(project, overrides, *told, count=0):
    """Run with these overrides: it must fail, say all this, and publish nothing."""
    store = store_of(project)
    before = store.pipeline().info.run_id
    ran = type_in(project, f"python main.py {overrides}")
    assert ran.returncode == 1, ran.stdout
    for text in told:
        assert text in " ".join(ran.stdout.split()), ran.stdout
    assert "Traceback" not in ran.stdout
    pipeline = store.pipeline()
    if not count:  # a plan with faults leaves no run
        assert pipeline.info.run_id == before
        return
    assert pipeline.info.status == "FAILED"
    assert "traceback.txt" in store.files(pipeline)
    children = store.children(pipeline)
    assert len(children) == count
    for child in children[-1:]:
        assert child.info.status == "FAILED"
        assert not [tag for tag in child.data.tags if tag.startswith("output.")]


def test_all_faults_are_told_together(project, tmp_path):
    shutil.move(project / "src/eda/MLproject", tmp_path)
    try:
        refused(
            project,
            "data.file_url=nowhere.csv +components.data_extraction.parameters.colour=red "
            "'split.seed=${lost}' 'split.test_size=${gone}' main.steps=[data_extraction,eda,xyz]",
            "nowhere.csv",
            "'colour'",
            "'lost'",
            "'gone'",
            "'xyz'",
            "src/eda has no MLproject",
        )
    finally:
        shutil.move(tmp_path / "MLproject", project / "src/eda")


def test_an_unknown_config_key(project):
    options = '-P hydra_options="modeling.random_forest.n_estimator=1 moddeling.x=1"'
    ran = type_in(project, f"mlflow run . --env-manager local {options}")
    assert ran.returncode == 1
    assert "did you mean 'modeling.random_forest.n_estimators'?" in ran.stdout
    assert "unknown config key 'moddeling.x'" in ran.stdout
    assert store_of(project).runs("Default")[0].info.status == "FAILED"


def test_a_file_that_is_no_table(project, tmp_path):
    """By a component; the tests of each function have all that can be wrong."""
    lines = (project / RAW).read_text().splitlines()
    broken = tmp_path / "row.csv"
    broken.write_text("\n".join([*lines[:5], "2012,only,three", *lines[5:]]))
    told = ["row.csv: row 6 has 3 fields", "28", "evaluation │ NOT STARTED"]
    refused(project, f"data.file_url={broken}", *told, count=1)


def test_a_failed_check_stops_the_pipeline_and_leaves_its_tables(project, tmp_path):
    steps = "main.steps=[data_extraction,basic_cleaning,data_check,data_split]"
    limits = "checks.max_null_share=0.001 data.contract.columns.car_truck.nullable=false"
    ran = type_in(project, f"python main.py {steps} {limits}")
    assert ran.returncode == 1
    assert "car_truck" in ran.stdout and "NOT STARTED" in ran.stdout
    assert "Namespace" not in ran.stdout
    store = store_of(project)
    *_, cleaning, check = store.children(store.pipeline())
    assert (cleaning.info.status, check.info.status) == ("FINISHED", "FAILED")
    assert "car_truck" in store.text(check, "null_shares.csv", tmp_path)
    assert "fuel_cell" not in store.text(check, "null_shares.csv", tmp_path)  # is not used
    assert "car_truck,not_nullable" in store.text(check, "failure_cases.csv", tmp_path)
