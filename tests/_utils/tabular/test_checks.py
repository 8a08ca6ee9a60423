from pathlib import Path

import pandas as pd
import pytest

from _utils.example.fuel_economy import correct, violations
from _utils.tabular.checks import failure_cases, null_share, row_share
from _utils.tabular.cleaning import clean
from _utils.tabular.contract import parse_contract, read_contract

DATA = Path(__file__).parents[3] / "resources" / "data"
OVERRIDES = {"columns": {"comb_mpg": {"max": 60}, "engine_displacement": {"max": 9}}}
CARS = read_contract(DATA / "fuel_economy.contract.yaml", OVERRIDES)
TABLE = parse_contract(
    "{target: y, task: classification, columns: {y: {kind: category, values: [1, 2]}, a: "
    "{kind: text}}}",
    "test",
)


def cars(year: int) -> pd.DataFrame:
    raw = pd.read_csv(DATA / f"epa_fuel_economy_{year}.csv")
    return clean(raw, CARS, ["??"], correct)[0]


@pytest.fixture(scope="module")
def cleaned() -> pd.DataFrame:
    return cars(2012)


@pytest.mark.parametrize("year", [2012, 2021])
def test_real_data_are_well(year):
    assert failure_cases(cars(year), CARS, violations).empty


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("comb_mpg", 61, "less_than"),
        ("engine_displacement", -1, "greater_than"),
        ("drive_sys", "X", "isin"),
        ("division", None, "not_nullable"),
    ],
)
def test_wrong_value_is_found(cleaned, column, value, check):
    frame = cleaned.head(3).copy()
    frame.loc[1, column] = value
    faults = failure_cases(frame, CARS).query("column == @column")
    assert faults["index"].tolist() == [1]
    assert faults["check"].item().startswith(check)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda frame: pd.concat([frame, frame], ignore_index=True), "duplicate rows"),
        (lambda frame: frame.assign(comb_mpg=59.0), "comb_mpg not between city_mpg and hwy_mpg"),
        (lambda frame: frame.assign(no_gears=6), "dtype('float64')"),
        (lambda frame: frame.assign(release_date="2012-05-06"), "dtype('datetime64[ns]')"),
    ],
)
def test_wrong_table_is_found(cleaned, spoil, check):
    faults = failure_cases(spoil(cleaned.head(3)), CARS, violations)
    assert [*dict.fromkeys(faults["check"])] == [check]


def test_missing_column_is_found(cleaned):
    faults = failure_cases(cleaned.head(3).drop(columns="class"), CARS, violations)
    assert faults["failure_case"].tolist() == ["class"]


@pytest.mark.parametrize(("rows", "expected"), [(3, 1.5), (2, 1.0), (0, 0.0)])
def test_row_share(rows, expected):
    reference = pd.DataFrame({"a": ["p", "q", "r"], "y": [1, 2, None]})  # one has no target
    assert row_share(pd.DataFrame({"a": [1] * rows}), reference, TABLE, []) == expected


def test_duplicates_are_no_losses():
    batch = pd.DataFrame({"a": ["GOLF", "POLO"], "y": ["5", "6"]})
    twice = pd.concat([batch, batch.assign(y=["5.0", "6"])])
    assert row_share(batch, twice, TABLE, []) == 1
    assert row_share(batch.head(1), twice, TABLE, []) == 0.5


def test_row_share_of_nothing():
    assert row_share(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [], "y": []}), TABLE, []) == 0


@pytest.mark.parametrize(("label", "faults"), [(1, []), ("2", []), (3, ["isin(['1', '2'])"])])
def test_classes_are_compared_as_text(label, faults):
    frame = pd.DataFrame({"y": [label], "a": ["x"]})
    assert failure_cases(frame, TABLE)["check"].tolist() == faults


def test_null_share():
    frame = pd.DataFrame({"a": [1, 2], "b": [None, None], "c": ["x", None]})
    assert null_share(frame).to_dict() == {"b": 1.0, "c": 0.5, "a": 0.0}
    assert null_share(frame).index[0] == "b"
