import math
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from omegaconf import OmegaConf

from _utils.pipeline.log import Log
from _utils.pipeline.report import Result, console
from _utils.pipeline.summary import number, print_new_data_hint, print_summary, print_ui_hint


def test_the_summary_has_a_row_for_each_component():
    metrics = {"n": 1129, "mae": 1.38123, "r": 1234.56, "more": 1}
    results = [
        Result("load", "REUSED", 0.1, "0123456789", metrics, {}, "abcdefghij"),
        Result("train", "FAILED", 2.0, "9876543210", {}, {}),
    ]
    with console.capture() as captured:
        print_summary(["load", "train", "score"], results, {"load.mae": 1.4, "load.n": 1129})
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().split("\n")]
    # On Windows the header has the same lines around it
    assert [row for row in rows if row and row[0] != "component"] == [
        ["load", "REUSED", "0.1", "n 1,129, mae 1.381 (-0.019), r 1,234.6"],
        ["train", "FAILED", "2.0", ""],
        ["score", "NOT STARTED", "", ""],
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 0.0, -3.0, 1e-9])
def test_any_number_can_be_shown(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, nan_ok=True)


def test_the_time_for_environments_is_apart_from_the_components():
    log = Log()
    log.preparing = 52.4
    result = Result("load", "FINISHED", 1.5, "0123456789", {}, {}, log=log)
    for _ in "two rounds":
        with console.capture() as captured:
            print_summary(["load"], [result], {})
        (row,) = [line for line in captured.get().split("\n") if "load" in line]
        assert row.split("│")[3:5] == [" 1.5     ", " 52.4        "]


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("sqlite:////home/me@work/mlflow.db", "mlflow ui --backend-store-uri sqlite:////home/me@"),
        ("postgresql://me:sec@ret@host/db", "postgresql://***@host/db"),
        ("sqlite:///{folder}/mlflow.db", "See it: python tasks.py ui, then http://h:1/#/exp"),
        ("http://me:sec@ret@host", "See it: http://h:1/#/experiments/7/runs/abc/artifacts"),
    ],
)
def test_the_hint_leads_to_the_run_and_keeps_secrets(uri, told, tmp_path, monkeypatch):
    folder = tmp_path / "Jörg Weiß"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_UI", "http://h:1/")
    with console.capture() as captured:
        run = SimpleNamespace(experiment_id="7", run_id="abc")
        print_ui_hint(uri.format(folder=quote(folder.as_posix(), safe="/: ")), run, "a.html")
    place = "/#/experiments/7/runs/abc/artifacts/a.html?workflowType=machine_learning\n"
    assert told in captured.get() and place in captured.get()
    assert "ret@" not in captured.get()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, True),
        ({"data": {"new_file_url": "new.csv"}}, False),
        ({"data": None}, False),  # a pipeline of one's own
        ({"main": {"execute_steps": ["batch_scoring", "monitoring"]}}, False),
        ({"main": {"steps": "monitoring"}}, False),
        ({"components": None}, False),
    ],
)
def test_how_to_add_new_data_is_told_until_there_are_some(values, told):
    usual = {
        "main": {"steps": "all", "execute_steps": ["train"]},
        "data": {"new_file_url": ""},
        "components": {"train": {}, "batch_scoring": {}, "monitoring": {}},
    }
    with console.capture() as captured:
        config = OmegaConf.merge(usual, {key: value for key, value in values.items() if value})
        print_new_data_hint(OmegaConf.masked_copy(config, [k for k in config if values.get(k, 1)]))
    steps = "-P steps=batch_scoring,monitoring"
    hint = f'mlflow run . {steps} -P hydra_options="data.new_file_url=<path>"'
    assert (hint in captured.get()) == told
