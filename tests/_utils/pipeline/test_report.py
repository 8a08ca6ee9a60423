import pytest
from omegaconf import OmegaConf

from _utils.pipeline.report import (
    Result,
    console,
    print_new_data_hint,
    print_summary,
    print_ui_hint,
)


def test_the_summary_names_the_source_of_what_is_reused():
    results = [
        Result("load", "REUSED", 0.1, "0123456789", {"rows": 1129}, {}, "abcdefghij"),
        Result("train", "FAILED", 2.0, "9876543210", {}, {}),
    ]
    with console.capture() as captured:
        print_summary(["load", "train", "score"], results)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().split("\n")]
    assert [row for row in rows if row] == [
        ["load", "REUSED", "0.1", "01234567", "abcdefgh", "rows 1129"],
        ["train", "FAILED", "2.0", "98765432", "", ""],
        ["score", "not started", "", "", "", ""],
    ]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("postgresql://me:sec@ret@host/db", "postgresql://***@host/db"),
    ],
)
def test_the_hint_keeps_secrets(uri, shown):
    with console.capture() as captured:
        print_ui_hint(uri)
    assert shown in captured.get()
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
