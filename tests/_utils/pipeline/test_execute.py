import json
import time
from pathlib import Path

import mlflow
import pytest
from conftest import not_on_windows
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from _utils.errors import UserError
from _utils.pipeline import report
from _utils.pipeline.backend import LocalBackend
from _utils.pipeline.component import Component
from _utils.pipeline.config import Main, Objective
from _utils.pipeline.execute import check_outputs, project_path, run_components
from _utils.pipeline.log import Log
from _utils.pipeline.report import Result, raise_for_failure
from _utils.pipeline.reuse import cache_key, find_run, make_reusable

MAIN = Main.model_construct(objective=Objective(metric=None, direction="minimize"), verbose=False)
LATER = [Component("train", Path(), {"input_artifact": "data.csv:0123456789ab"})]


@pytest.mark.parametrize(
    ("parameters", "published", "later", "is_refused"),
    [
        ({"output_artifact": "data.csv"}, "data.csv", LATER, False),
        ({"limit": "3"}, "data.csv", LATER, True),
        ({"limit": "3"}, "other.csv", LATER, False),
        ({"limit": "3"}, "data.csv", [], False),
    ],
)
def test_an_artifact_used_later_has_to_be_named(parameters, published, later, is_refused):
    result = Result("load", "FINISHED", 1.0, "run", {}, {published: "ba9876543210"})
    component = Component("load", Path(), parameters)
    if not is_refused:
        check_outputs(component, result, later)
        return
    with pytest.raises(UserError, match=r"published 'data.csv', which none of its parameters"):
        check_outputs(component, result, later)


@pytest.fixture
def run_command(scratch_store, tmp_path):
    """The result of a component that has this command and one output."""

    def run(command: str, main: Main = MAIN, planned: int = 1):
        folder = tmp_path / "src/load"
        folder.mkdir(parents=True)
        entry = {"parameters": {"output_artifact": "string"}, "command": command}
        (folder / "MLproject").write_text(json.dumps({"entry_points": {"main": entry}}))
        component = Component("load", folder, {"output_artifact": "data.csv"})
        experiment = mlflow.set_experiment("execute").experiment_id
        with mlflow.start_run(experiment_id=experiment) as pipeline:
            result = run_components([component] * planned, pipeline, main)[0]
        return component, result, mlflow.get_run(result.run_id)

    return run


def test_a_component_that_does_not_publish_its_outputs_failed(run_command, monkeypatch):
    component, result, run = run_command("echo {output_artifact}")
    assert (result.status, result.exit_code) == ("FAILED", 0)
    assert run.info.status == "FAILED" and "cache_key" not in run.data.tags
    with pytest.raises(UserError, match=r"'load' failed to publish data.csv, which its"):
        raise_for_failure([result])
    # One that was recorded before this was checked is not reused either
    key = cache_key(component)
    make_reusable(run.info.run_id, key)
    MlflowClient().set_terminated(run.info.run_id)
    assert not find_run(component, key)


@not_on_windows("the test's command is one of bash")
@pytest.mark.parametrize(
    ("planned", "verbose", "end", "code", "is_shown"),
    [
        (1, False, "exit 3", 3, True),
        (2, False, "kill -9 $$", -9, False),
        (2, True, "exit 1", 1, True),
    ],
)
def test_what_a_component_writes_is_kept_and_may_be_shown(
    run_command, capfd, planned, verbose, end, code, is_shown
):
    main, command = MAIN.model_copy(update={"verbose": verbose}), "echo out; echo err >&2"
    _, result, run = run_command(f"{command}; echo {{output_artifact}}; {end}", main, planned)
    assert (result.status, result.exit_code) == ("FAILED", code)
    assert ("out\nerr\ndata.csv\n" in capfd.readouterr().out) == is_shown
    log = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/log.txt")
    assert log == "out\nerr\ndata.csv\n"


def test_a_component_that_cannot_start_tells_mlflows_reason(run_command, monkeypatch, capfd):
    def start(*_, **__):
        raise MlflowException("conda cannot be found")

    monkeypatch.setattr(LocalBackend, "start", start)
    _, result, run = run_command("echo {output_artifact}")
    assert (result.status, result.exit_code) == ("FAILED", None)
    log = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/log.txt")
    assert log == "conda cannot be found\n" and log in capfd.readouterr().out


def test_a_run_that_nobody_knows_is_not_taken_for_the_components(run_command, monkeypatch):
    """A server that goes away before it answers is asked again, and makes a second run."""
    create = MlflowClient.create_run

    def create_two(client, *arguments, **options):
        options["start_time"] = int(time.time() * 1000)
        known, _ = [create(client, *arguments, **options) for _ in range(2)]
        return known

    monkeypatch.setattr(MlflowClient, "create_run", create_two)
    _, result, run = run_command("echo {output_artifact}")
    assert result.exit_code == 0
    log = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/log.txt")
    assert log == "data.csv\n"
    siblings = f"tags.mlflow.parentRunId = '{run.data.tags['mlflow.parentRunId']}'"
    children = MlflowClient().search_runs([run.info.experiment_id], siblings)
    assert [child.info.run_id for child in children] == [result.run_id]


@pytest.mark.parametrize(
    ("exit_code", "how"),
    [
        (3, "with exit code 3"),
        (-9, r"with exit code 137 \(signal 9\)"),
        (None, "before it started"),
    ],
)
@pytest.mark.parametrize("shown", [True, False])
def test_a_failure_is_told_with_the_command_that_continues(monkeypatch, exit_code, how, shown):
    monkeypatch.setattr(report, "typed_command", lambda: ["mlflow", "run", "."])
    log = Log(shown)
    log.place, log.last_lines = "file:///log.txt", ["the last line"]
    failed = Result("load", "FAILED", 1.0, "run", {}, {}, exit_code=exit_code, log=log)
    lines = rf"'load' failed {how}.*\.\n"
    lines += "" if shown else r"Its last lines:\n  \| the last line\n"
    lines += r"Its whole log: file:///log.txt\nFix the cause, then continue with: `mlflow run \.`$"
    with pytest.raises(UserError, match=lines):
        raise_for_failure([failed])
    monkeypatch.setenv("SWEEP_RUN_ID", "1")  # the sweep tells how to continue
    with pytest.raises(UserError, match=r"Its whole log: file:///log.txt$"):
        raise_for_failure([failed])


def test_what_ends_well_is_no_failure():
    raise_for_failure([])
    for status in "FINISHED", "REUSED":
        raise_for_failure([Result("load", status, 1.0, "run", {}, {})])


def test_mlflow_gets_a_path_without_a_number_sign(tmp_path, monkeypatch):
    folder = tmp_path / "project #1/src/load"
    assert project_path(tmp_path) == str(tmp_path)
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project #1")
    assert project_path(folder) == str(Path("src/load"))
