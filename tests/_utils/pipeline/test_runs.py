import re
import sqlite3
from types import SimpleNamespace

import mlflow
import pytest
from conftest import add_store, not_on_windows
from hydra.core.override_parser.overrides_parser import OverridesParser
from mlflow import MlflowClient
from sqlalchemy.exc import OperationalError

from _utils.errors import UserError
from _utils.internals import is_made_up_name
from _utils.pipeline import runs
from _utils.pipeline.record import as_params, name_of
from _utils.pipeline.runs import find_experiment, is_of_no_use
from _utils.pipeline.server import database_faults


def test_overrides_become_parameters_that_mlflow_takes(scratch_store):
    typed = ["x=1", "+y='a=b'", "++z=", "~gone", "~gone.too=1", "+group@to.here=c", "a/b=d"]
    typed.append(f"+{'k' * 300}=1")
    OverridesParser.create().parse_overrides(typed)
    with mlflow.start_run() as run:
        mlflow.log_params(as_params(typed))
    params = MlflowClient().get_run(run.info.run_id).data.params
    known = {"x": "1", "y": "'a=b'", "z": "", "group_to.here": "c", "a/b": "d"}
    assert params == {**known, "k" * 250: "1"}


def test_the_name_that_a_user_gave_stays(scratch_store):
    client = MlflowClient()
    made_up = [client.create_run("0").info.run_name for _ in range(20)]
    assert all(map(is_made_up_name, made_up))
    assert not any(map(is_made_up_name, ["mine", "my-run-1", "a b"]))


@pytest.mark.parametrize(
    ("steps", "typed", "name"),
    [
        ("all", ["main.reuse=false"], "pipeline: all steps"),
        (["a", "b"], ["model.trees.number=10", "~x"], "pipeline: a, b, number=10, ~x"),
        ("a", ["+data.url=https://host/a.b"], "pipeline: a, url=https://host/a.b"),
        ("all", [f"x={'a' * 300}"], f"pipeline: all steps, x={'a' * 227}"),
    ],
)
def test_a_run_is_called_what_it_does(steps, typed, name):
    assert name_of(steps, typed) == name


def test_a_failed_run_is_of_no_use_without_components(scratch_store, monkeypatch):
    with mlflow.start_run() as pipeline:
        assert is_of_no_use(pipeline)
        with monkeypatch.context() as patch:
            patch.setattr(runs, "RUN_ID", pipeline.info.run_id)  # `mlflow run` will end it
            assert not is_of_no_use(pipeline)
        with mlflow.start_run(nested=True):
            assert not is_of_no_use(pipeline)


def test_a_deleted_experiment_is_told_with_the_way_back(scratch_store):
    experiment_id = mlflow.create_experiment("gone")
    assert find_experiment("gone").experiment_id == experiment_id
    assert find_experiment("never") is None
    mlflow.delete_experiment(experiment_id)
    with pytest.raises(UserError, match=f"experiments restore --experiment-id {experiment_id}`"):
        find_experiment("gone")


@not_on_windows("the test's URI has no drive")
def test_a_database_of_another_version_is_told_with_the_command(tmp_path):
    folder = tmp_path / "proj #1"
    folder.mkdir()
    add_store(folder)
    uri = f"sqlite:///{tmp_path}/proj %231/mlflow.db"
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with (
        pytest.raises(UserError, match=re.escape(f"mlflow db upgrade {uri}'")),
        database_faults(uri),
    ):
        SqlAlchemyStore(uri, tmp_path.as_uri())


def test_a_database_that_does_not_answer_is_told_without_its_password():
    uri = "postgresql://me:secret@host/db"
    with pytest.raises(UserError) as refused, database_faults(uri):
        raise OperationalError("SELECT", {}, SimpleNamespace(args=("no route to host",)))
    assert "cannot be opened" in str(refused.value) and "secret" not in str(refused.value)
