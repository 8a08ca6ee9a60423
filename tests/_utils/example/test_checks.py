from pathlib import Path

import pandas as pd
import pytest

from _utils.example.checks import failure_cases, null_share, row_share, schema
from _utils.example.cleaning import clean

DATA = Path(__file__).parents[3] / "resources" / "data"
LIMITS = {"min_comb_mpg": 5, "max_comb_mpg": 60, "max_engine_displacement": 9}


def cars(year: int) -> pd.DataFrame:
    raw = pd.read_csv(DATA / f"epa_fuel_economy_{year}.csv")
    return clean(raw, unknown_codes=["??"], **LIMITS)[0]


@pytest.fixture(scope="module")
def cleaned() -> pd.DataFrame:
    return cars(2012)


@pytest.mark.parametrize("year", [2012, 2021])
def test_real_data_are_well(year):
    assert failure_cases(cars(year), schema(**LIMITS)).empty


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("comb_mpg", 61, "in_range"),
        ("engine_displacement", 0, "in_range"),
        ("drive_sys", "X", "isin"),
        ("division", None, "not_nullable"),
    ],
)
def test_wrong_value_is_found(cleaned, column, value, check):
    frame = cleaned.head(3).copy()
    frame.loc[1, column] = value
    faults = failure_cases(frame, schema(**LIMITS)).query("column == @column")
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
    assert failure_cases(spoil(cleaned.head(3)), schema(**LIMITS))["check"].tolist() == [check]


def test_missing_column_is_found(cleaned):
    faults = failure_cases(cleaned.head(3).drop(columns="class"), schema(**LIMITS))
    assert faults["failure_case"].tolist() == ["class"]


@pytest.mark.parametrize(("rows", "expected"), [(3, 1.5), (2, 1.0), (0, 0.0)])
def test_row_share(rows, expected):
    assert row_share(pd.DataFrame({"a": [1] * rows}), pd.DataFrame({"a": [1, 2]})) == expected


def test_duplicates_are_no_losses():
    batch = pd.DataFrame({"carline": ["GOLF", "POLO"], "no_gears": ["5", "6"]})
    twice = pd.concat([batch, batch.assign(no_gears=["5.0", "6"])])
    assert row_share(batch, twice) == 1
    assert row_share(batch.head(1), twice) == 0.5


def test_row_share_of_nothing():
    assert row_share(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": []})) == 0


def test_null_share():
    frame = pd.DataFrame({"a": [1, 2], "b": [None, None], "c": ["x", None]})
    assert null_share(frame).to_dict() == {"b": 1.0, "c": 0.5, "a": 0.0}
    assert null_share(frame).index[0] == "b"
