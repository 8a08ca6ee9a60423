"""What a user gets wrong: one clear message, exit status 1, a failed run, nothing published."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import store_of, type_in

pytestmark = pytest.mark.slow

RAW = "resources/data/epa_fuel_economy_2012.csv"


@pytest.fixture(scope="module")
def broken(project, tmp_path_factory):
    """The project, with some files that are not as they should be."""
    folder = tmp_path_factory.mktemp("broken")
    lines = (project / RAW).read_text().splitlines()
    (folder / "row.csv").write_text("\n".join([*lines[:5], "2012,only,three", *lines[5:]]))
    (folder / "column.csv").write_text("\n".join(line.partition(",")[2] for line in lines))
    return folder


@pytest.fixture(scope="module")
def server():
    """A server that breaks off in the middle of each file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"a,b\n1,2\n")

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def refused(project, overrides, *told, count=0, experiment="development"):
    """Run with these overrides: it must fail, say all this, and publish nothing."""
    ran = type_in(project, f"python main.py {overrides}")
    assert ran.returncode == 1, ran.stdout
    for text in told:
        assert text in " ".join(ran.stdout.split()), ran.stdout
    assert "Traceback" not in ran.stdout
    store = store_of(project)
    pipeline = store.pipeline(experiment)
    assert pipeline.info.status == "FAILED"
    assert "traceback.txt" in store.files(pipeline)
    children = store.children(pipeline, experiment)
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
            "src/eda has no MLproject file",
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


class TestFoundByAComponent:
    """One for each way; test_fetch.py and test_tables.py have all that a file can be."""

    def test_a_file_that_is_no_table(self, project, broken):
        told = ["row.csv: row 6 has 3 fields", "28", "evaluation │ not started"]
        refused(project, f"data.file_url={broken}/row.csv", *told, count=1)

    def test_a_download_that_fails(self, project, server):
        told = f"{server}/cut.csv: the download failed"
        refused(project, f"data.file_url={server}/cut.csv", told, count=1)

    def test_a_column_is_missing(self, project, broken):
        # In an experiment of its own, for the extraction succeeds and makes a new `latest`.
        steps = "main.steps=[data_extraction,basic_cleaning] main.experiment_name=column"
        overrides = f"data.file_url={broken}/column.csv {steps}"
        refused(project, overrides, "'model_yr'", count=2, experiment="column")

    def test_all_rows_are_filtered_out(self, project):
        overrides = "main.steps=basic_cleaning cleaning.min_comb_mpg=60 cleaning.max_comb_mpg=61"
        refused(project, overrides, "Cleaning leaves none of 1129 rows", count=1)

    def test_a_value_of_the_wrong_type(self, project):
        overrides = "main.steps=basic_cleaning cleaning.max_comb_mpg=many"
        refused(project, overrides, "'many' is not of the type float: write a number")

    def test_a_wrong_parameter_of_the_model(self, project):
        overrides = "main.steps=train_random_forest modeling.random_forest.n_estimators=-1"
        refused(project, overrides, "n_estimators", "-1", count=1)


def test_a_failed_check_stops_the_pipeline_and_leaves_its_tables(project, tmp_path):
    steps = "main.steps=[basic_cleaning,data_check,data_split]"
    limits = "checks.max_null_share=0.1 components.data_check.parameters.max_comb_mpg=50"
    ran = type_in(project, f"python main.py {steps} {limits}")
    assert ran.returncode == 1
    assert "fuel_cell" in ran.stdout and "not started" in ran.stdout
    assert "Namespace" not in ran.stdout
    store = store_of(project)
    cleaning, check = store.children(store.pipeline())
    assert (cleaning.info.status, check.info.status) == ("FINISHED", "FAILED")
    assert "fuel_cell" in store.text(check, "null_shares.csv", tmp_path)
    assert 'comb_mpg,"in_range(5.0, 50.0)"' in store.text(check, "failure_cases.csv", tmp_path)
