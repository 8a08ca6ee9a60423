import shlex

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from _utils.command_line import as_line
from _utils.pipeline import report
from _utils.pipeline.alarm import has_to_retrain, retraining
from _utils.pipeline.compose import split_options
from _utils.pipeline.report import Result, console


def result(name, **metrics):
    return Result(name, "FINISHED", 1.0, "run", metrics, {})


@pytest.fixture(scope="module", autouse=True)
def typed():
    """What Hydra knows of a command with overrides, one of them with a password."""
    overrides = ["main.storage_url='https://me:s3cret@host'", "main.on_alarm=report"]
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        HydraConfig.instance().set_config(compose("config", overrides, return_hydra_config=True))


QUOTED = as_line(["main.storage_url='"])[:18]
REPORT = f"To retrain with the new data: python main.py {QUOTED}"


@pytest.mark.parametrize(
    ("on_alarm", "alarm", "retrain", "message"),
    [
        ("report", 0, False, ""),
        ("retrain", 0, False, ""),
        ("report", 1, False, REPORT),
        ("retrain", 1, True, "'monitoring' raised an alarm. Back to step 1, with the values of"),
    ],
)
def test_what_an_alarm_leads_to(on_alarm, alarm, retrain, message):
    results = [result("eda"), result("monitoring", alarm=alarm)]
    with console.capture() as captured:
        assert has_to_retrain(on_alarm, results) == retrain
    text = captured.get()
    assert message in text and bool(text) == bool(message)
    assert "s3cret" not in text
    assert message != REPORT or text.endswith("main.on_alarm=retrain\n")


def test_the_second_time_has_all_steps_and_the_values_of_retrain():
    values = {"steps": "monitoring", "retrain": ["data.file=${data.new}", "data.more=name:version"]}
    data = {"file": "old.csv", "new": "s3://bucket/a=b.csv", "more": ""}
    components = {"fetch": {"parameters": {"file": "${data.file}"}}}
    first = OmegaConf.create({"main": values, "data": data, "components": components})
    second = retraining(first)
    assert second.main.steps == "all"
    assert second.components.fetch.parameters.file == second.data.file == "s3://bucket/a=b.csv"
    assert second.data.more == "name:version"
    assert first.main.steps == "monitoring" and first.data.more == ""


def test_without_values_it_only_has_all_steps():
    assert retraining(OmegaConf.create({"main": {"retrain": None}})).main.steps == "all"


TASK = ["python", "tasks.py", "run", "-P", "hydra_options='x=a b' y=2"]


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["mlflow", "run", "."], "python main.py 'x=a b' y=2"),
        (
            ["python", "tasks.py", "run"],
            """python tasks.py run -P 'hydra_options='"'"'x=a b'"'"' y=2'""",
        ),
    ],
)
def test_a_command_begins_like_the_one_that_was_typed(typed, command, monkeypatch):
    monkeypatch.setattr(report, "typed_command", lambda: typed)
    monkeypatch.setattr(report, "as_line", shlex.join)  # on Windows, too
    assert report.command_with(["x=a b", "y=2"]) == command
    assert typed[0] == "mlflow" or split_options("'x=a b' y=2") == ["x=a b", "y=2"]
