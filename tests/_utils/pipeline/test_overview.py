from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from _utils.errors import UserError
from _utils.pipeline import overview
from _utils.pipeline.component import Component
from _utils.pipeline.log import Log
from _utils.pipeline.overview import conclude, headline, model_of, steps
from _utils.pipeline.report import Result
from _utils.project import Parameter, Project

LOAD = Result("load", "FINISHED", 1.0, "1", {"rows": 1129.0}, {"raw": "0123456789ab"}, why="new")
ALARM = Result("watch", "FINISHED", 1.0, "2", {"alarm": 1.0}, {}, says="ALARM: a; b; c")


def component(name: str, **parameters: str) -> Component:
    types = {
        "input": "artifact",
        "output": "output",
        "model_uri": "model",
        "data_url": "url",
        "more_url": "url",
    }
    declared = {key: Parameter(key, types.get(key, "string")) for key in parameters}
    return Component(name, Path(name), parameters, project=Project(declared))


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([LOAD], ("All 1 components finished", "good")),
        ([replace(LOAD, status="REUSED")], ("All 1 components finished, 1 of them reused", "good")),
        ([LOAD, ALARM], ("ALARM: a", "bad")),
        ([replace(ALARM, says="")], ("watch raised an alarm", "bad")),
        ([LOAD, replace(ALARM, status="FAILED")], ("Failed: watch", "bad")),
    ],
)
def test_the_headline(results, told):
    assert headline(results) == told


@pytest.mark.parametrize("uri", ["models:/cars@champion", "models:/cars/3"])
def test_a_registered_model_stands_between_who_made_it_and_who_uses_it(uri):
    assert model_of(uri) == "cars"
    plan = [
        component("evaluate", registered_model="cars"),
        component("score", model_uri=uri, registered_model="cars"),
    ]
    made, used = steps(plan, [])
    assert [*made.outputs] == ["cars"] and not made.inputs
    assert [*used.inputs] == ["cars"] and not used.outputs and not used.sources
    (alone,) = steps(plan[1:], [])
    assert alone.sources == {"cars": uri} and alone.status == "waiting"


def test_the_graph_and_the_command_keep_secrets(monkeypatch):
    monkeypatch.setenv("DATA", "https://me:s3cret@host/private.csv")
    monkeypatch.setattr(overview, "how_to_continue", lambda: "main.py x=https://me:s3cret@host/a")
    urls = {"data_url": "${oc.env:DATA}", "more_url": "https://h/b.csv?sig=s3cret"}
    (step,) = steps([component("load", **urls)], [])
    assert len(step.sources) == 2 and "s3cret" not in f"{step}" and "private" not in f"{step}"
    shown = overview.what_to_do([replace(LOAD, status="FAILED")])
    assert "main.py x=https://" in shown and "s3cret" not in shown


def test_a_pipeline_shows_what_it_did(scratch_store, monkeypatch, capfd):
    monkeypatch.setattr(overview, "command_of_alarm", lambda: "python main.py --again")
    plan = [component("load", output="raw"), component("watch", input="raw:latest")]
    mlflow.set_experiment("overview")
    client = MlflowClient()
    with mlflow.start_run():
        mlflow.log_metric("load.rows", 1000)
        mlflow.set_tag("overrides", "[]")
    with mlflow.start_run() as pipeline:
        with mlflow.start_run(nested=True) as child:
            mlflow.log_figure(pytest.importorskip("matplotlib.figure").Figure(), "a_figure.png")
        conclude(plan, [LOAD, replace(ALARM, run_id=child.info.run_id)], pipeline)
    page = mlflow.artifacts.load_text(f"{pipeline.info.artifact_uri}/overview.html")
    for text in ("ALARM: a</h1>", "python main.py --again", "rows 1,129 (+129)", "a figure"):
        assert text in page
    note = client.get_run(pipeline.info.run_id).data.tags["mlflow.note.content"]
    assert note.startswith("**ALARM: a**") and "\n- watch: ALARM: a; b; c\n" in note
    assert capfd.readouterr().out.startswith("\nALARM: a\n")
    assert f"[watch](#/experiments/{pipeline.info.experiment_id}/runs/{child.info.run_id}?" in note


def test_retraining_is_not_advised_twice(scratch_store, capfd):
    mlflow.set_experiment("overview")
    plan = [component("watch", input="raw:latest")]
    with mlflow.start_run(), mlflow.start_run(nested=True) as second:
        conclude(plan, [ALARM], second)
    page = mlflow.artifacts.load_text(f"{second.info.artifact_uri}/overview.html")
    advice = "wait for more new data, or change the limits"
    assert advice in page and advice in capfd.readouterr().out and "To retrain" not in page


def test_a_failure_is_shown_and_raised(scratch_store, monkeypatch):
    monkeypatch.setattr(overview, "how_to_continue", lambda: "python main.py --again")
    plan = [component("load", output="raw"), component("watch", input="raw:latest")]
    failed = replace(LOAD, status="FAILED", exit_code=3, log=Log())
    with mlflow.start_run() as pipeline, pytest.raises(UserError, match="'load' failed"):
        conclude(plan, [failed], pipeline)
    page = mlflow.artifacts.load_text(f"{pipeline.info.artifact_uri}/overview.html")
    assert "Failed: load</h1>" in page and "--again" in page and "box waiting" in page


def test_an_empty_pipeline_has_no_page(scratch_store, capfd):
    with mlflow.start_run() as pipeline:
        conclude([], [], pipeline)
    assert not MlflowClient().list_artifacts(pipeline.info.run_id)
