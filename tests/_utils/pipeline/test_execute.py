import json
import os
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from _utils.errors import UserError
from _utils.pipeline import execute
from _utils.pipeline.execute import check_outputs, raise_for_failure, run_components
from _utils.pipeline.plan import Component
from _utils.pipeline.report import Result
from _utils.pipeline.reuse import cache_key, find_run, make_reusable

LATER = [Component("train", Path(), {"input_artifact": "data.csv:0123456789ab"})]


def check(parameters, published, later=LATER):
    outputs = dict.fromkeys(published, "ba9876543210")
    result = Result("load", "FINISHED", 1.0, "run", {}, outputs)
    check_outputs(Component("load", Path(), parameters), result, later)


def test_what_is_used_later_has_to_be_named():
    check({"output_artifact": "data.csv"}, ["data.csv"])
    with pytest.raises(UserError, match=r"'load' published 'data.csv', which none of its"):
        check({"limit": "3"}, ["data.csv"])


def test_what_nobody_uses_later_is_of_no_concern():
    check({"limit": "3"}, ["other.csv"])
    check({"limit": "3"}, ["data.csv"], later=[])


@pytest.mark.slow
def test_what_ends_without_an_artifact_it_names_has_failed(scratch_store, tmp_path, monkeypatch):
    folder = tmp_path / "src/load"
    folder.mkdir(parents=True)
    entry = {"parameters": {"output_artifact": "string"}, "command": "echo {output_artifact}"}
    (folder / "MLproject").write_text(json.dumps({"entry_points": {"main": entry}}))
    component = Component("load", folder, {"output_artifact": "data.csv"})
    with mlflow.start_run(experiment_id=mlflow.create_experiment("missing")) as pipeline:
        (result,) = run_components([component], pipeline)
    assert (result.status, result.exit_code) == ("FAILED", 0)
    run = mlflow.get_run(result.run_id)
    assert run.info.status == "FAILED" and "cache_key" not in run.data.tags
    with pytest.raises(UserError, match=r"'load' failed to publish data.csv, which its"):
        monkeypatch.setenv("SWEEP_RUN_ID", "1")  # where no command to go on with is told
        raise_for_failure([result])
    # One that was recorded before this was checked does not serve either
    key = cache_key(component)
    make_reusable(run.info.run_id, key)
    MlflowClient().set_terminated(run.info.run_id)
    assert not find_run(component, key)


def test_the_path_does_not_grow_from_job_to_job(monkeypatch):
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setattr(execute, "env_manager_of", lambda run: "local")
    paths = []
    for _ in range(3):
        execute.run_components([], None)
        paths.append(os.environ["PATH"])
    assert paths == [os.pathsep.join([str(Path(sys.executable).parent), "/bin"])] * 3
