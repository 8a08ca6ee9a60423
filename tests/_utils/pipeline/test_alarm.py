import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir

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


def test_the_second_time_has_all_steps_and_the_new_data(config):
    first = config("main.steps=monitoring", "data.new_file_url='s3://bucket/a=b.csv'")
    second = retraining(first)
    assert second.main.steps == "all"
    assert second.data.file_url == "s3://bucket/a=b.csv"
    assert second.components.data_extraction.parameters.file_url == "s3://bucket/a=b.csv"
    assert second.data.add_to_artifact == "raw_data.parquet:fuel_economy"
    assert first.main.steps == "monitoring" and first.data.add_to_artifact == ""
