import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from _utils.pipeline.alarm import has_to_retrain, retraining
from _utils.pipeline.report import Result, console


def result(name, **metrics):
    return Result(name, "FINISHED", 1.0, "run", metrics, {})


@pytest.fixture
def config():
    def config(*overrides):
        with initialize_config_dir(str(ROOT), version_base="1.3"):
            return compose("config", list(overrides))

    return config


@pytest.mark.parametrize(
    ("on_alarm", "alarm", "retrain", "told"),
    [
        ("report", 0, False, ""),
        ("retrain", 0, False, ""),
        ("report", 1, False, "Alarm of monitoring: main.on_alarm=retrain would train again"),
        (
            "retrain",
            1,
            True,
            "Alarm of monitoring: back to step 1, with the values of main.retrain",
        ),
    ],
)
def test_what_an_alarm_leads_to(config, on_alarm, alarm, retrain, told):
    results = [result("eda"), result("monitoring", alarm=alarm)]
    main = config(f"main.on_alarm={on_alarm}").main
    with console.capture() as captured:
        assert has_to_retrain(main, results) == retrain
    assert captured.get().startswith(told) and bool(captured.get()) == bool(told)


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
