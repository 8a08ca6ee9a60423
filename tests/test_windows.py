"""The names that MLflow refuses on Windows: a pipeline has none of them."""

import re
from pathlib import Path

import mlflow
import pytest
from conftest import COMPONENTS, store_of
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import validate_param_and_metric_name

from _utils.artifacts import log_artifact, set_alias, use_artifact


@pytest.fixture
def on_windows(monkeypatch):
    """MLflow refuses the names that it refuses on Windows."""
    monkeypatch.setattr("mlflow.utils.validation.is_windows", lambda: True)
    assert not validate_param_and_metric_name("alias.a:b")


def test_the_words_of_a_component_work(scratch_store, on_windows, tmp_path):
    mlflow.set_experiment("windows")
    for text in ("old", "new"):
        (tmp_path / "a.txt").write_text(text)
        with mlflow.start_run() as run:
            artifact = log_artifact(tmp_path / "a.txt", type="text")
        set_alias(artifact.reference, "mine")
        with mlflow.start_run():
            assert use_artifact("a.txt:mine").read_text() == text
    with pytest.raises(MlflowException, match="Names may only contain"):
        MlflowClient().set_tag(run.info.run_id, "alias.a.txt:mine", "")


@pytest.mark.slow
def test_windows_allows_all_names_of_a_pipeline(ran_once, on_windows):
    client, runs = store_of(ran_once).client, []
    for experiment in client.search_experiments():
        runs += client.search_runs([experiment.experiment_id])
    assert len(runs) > len(COMPONENTS)
    for run in runs:
        for name in [*run.data.tags, *run.data.params, *run.data.metrics]:
            assert validate_param_and_metric_name(name), name
    for model in client.search_registered_models():
        for version in client.search_model_versions(f"name = '{model.name}'"):
            assert all(map(validate_param_and_metric_name, version.tags))
    files = [path.relative_to(ran_once / "mlruns") for path in Path(ran_once, "mlruns").rglob("*")]
    assert len(files) > len(runs)
    assert [path for path in files if re.search(r'[<>:"|?*\\]', str(path))] == []
