"""The model of Windows in windows.py, against what is documented of Windows; and MLflow's own."""

import re
import subprocess
from pathlib import Path

import mlflow
import pytest
from conftest import store_of
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import validate_param_and_metric_name
from windows import arguments_of, through_cmd

from _utils.artifacts import log_artifact, set_alias, use_artifact

VARIABLES = {"PATH": "what nobody meant"}


@given(st.lists(st.text(st.sampled_from('a "\\\t')), max_size=4))
def test_the_model_of_windows_is_the_inverse_of_pythons(words):
    assert arguments_of(subprocess.list2cmdline(words)) == words


@pytest.mark.parametrize(
    ("line", "arguments"),
    [  # of Microsoft's page
        (r'"abc" d e', ["abc", "d", "e"]),
        (r'a\\b d"e f"g h', [r"a\\b", "de fg", "h"]),
        (r"a\\\"b c d", [r"a\"b", "c", "d"]),
        (r'a\\\\"b c" d e', [r"a\\b c", "d", "e"]),
        (r'a"b"" c d', ['ab" c d']),
    ],
)
def test_the_model_of_windows_is_as_documented(line, arguments):
    assert arguments_of(line) == arguments


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ('a ^"b^" ^^', 'a "b" ^'),
        ('a "b ^ & c" %PATH%', 'a "b ^ & c" what nobody meant'),
        ("a ^%PATH^% %NONE%", "a %PATH% %NONE%"),
    ],
)
def test_the_model_of_cmd_is_as_documented(line, left):
    assert through_cmd(line, VARIABLES) == left
    with pytest.raises(AssertionError, match="cmd acts on &"):
        through_cmd("a & b", VARIABLES)


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
    assert len(runs) > 9
    for run in runs:
        for name in [*run.data.tags, *run.data.params, *run.data.metrics]:
            assert validate_param_and_metric_name(name), name
    for model in client.search_registered_models():
        for version in client.search_model_versions(f"name = '{model.name}'"):
            assert all(map(validate_param_and_metric_name, version.tags))
    files = [path.relative_to(ran_once / "mlruns") for path in Path(ran_once, "mlruns").rglob("*")]
    assert len(files) > 50
    assert [path for path in files if re.search(r'[<>:"|?*\\]', str(path))] == []
