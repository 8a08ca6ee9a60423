from pathlib import Path

import pandas as pd
import pytest

from _utils.errors import UserError
from _utils.example.fuel_economy import correct
from _utils.tabular.cleaning import clean, tidy
from _utils.tabular.contract import parse_contract, read_contract
from _utils.tabular.terms import NUMBER

DATA = Path(__file__).parents[3] / "resources" / "data"
OVERRIDES = {"columns": {"comb_mpg": {"max": 60}, "engine_displacement": {"max": 9}}}
CARS = read_contract(DATA / "fuel_economy.contract.yaml", OVERRIDES)
LIMITS = {"contract": CARS, "unknown_codes": ["??", -999, "inf"], "rules": correct}
NUMBER_COLUMNS = CARS.of_kind(NUMBER)


def raw(**columns) -> pd.DataFrame:
    """Three ordinary cars, with these columns instead."""
    ordinary = dict.fromkeys(CARS.columns, "x") | dict.fromkeys(NUMBER_COLUMNS, 20)
    ordinary |= {"engine_displacement": 2.0, "release_date": "2012-05-06"}
    ordinary |= {"carline": ["Golf", "Polo", "Jetta"]}
    return pd.DataFrame(ordinary | columns)


@pytest.mark.parametrize(
    ("count", "columns", "kept", "column", "values"),
    [
        ("duplicates", {"carline": ["a", "a", "b"]}, 2, "carline", ["a", "b"]),
        ("unknown_codes", {"car_truck": ["car", "??", "1"]}, 3, "car_truck", ["car", None, "1"]),
        ("unknown_codes", {"no_gears": ["5", "??", "6"]}, 3, "no_gears", [5.0, None, 6.0]),
        (
            "restored_na",
            {
                "air_aspir_method": [None, None, "TC"],
                "air_aspir_method_desc": ["Naturally Aspirated", None, "Naturally Aspirated"],
            },
            3,
            "air_aspir_method",
            ["NA", None, "TC"],
        ),
        (
            "zero_displacement",
            {"engine_displacement": [0, 2.5, 3]},
            3,
            "engine_displacement",
            [None, 2.5, 3.0],
        ),
        ("unknown_codes", {"no_gears": [5, -999, 6]}, 3, "no_gears", [5.0, None, 6.0]),
        ("unknown_codes", {"car_truck": [1, -999, 3]}, 3, "car_truck", ["1", None, "3"]),
        ("outliers", {"comb_mpg": [5, 60, 61]}, 2, "comb_mpg", [5.0, 60.0]),
        ("without_target", {"comb_mpg": [None, 20, 30]}, 2, "comb_mpg", [20.0, 30.0]),
        (
            "outliers",
            {"engine_displacement": [None, 9, 10]},
            2,
            "engine_displacement",
            [None, 9.0],
        ),
    ],
)
def test_rule(count, columns, kept, column, values):
    frame, counts = clean(raw(**columns), **LIMITS)
    assert [None if pd.isna(value) else value for value in frame[column]] == values
    rules = {name: number for name, number in counts.items() if number and "rows" not in name}
    assert rules == {count: 1}
    assert (counts["rows_in"], counts["rows_out"]) == (3, kept)
    assert frame.index.tolist() == list(range(kept))


def test_rows_alike_but_for_an_unknown_code_are_duplicates():
    frame, counts = clean(raw(carline="a", car_truck=["??", None, "car"]), **LIMITS)
    assert (len(frame), counts["duplicates"]) == (2, 1)


@pytest.mark.parametrize(("column", "third"), [("model_type_index", 1), ("vin", None)])
def test_rows_that_differ_in_a_large_id_are_no_duplicates(column, third):
    ids = pd.array([2**53, 2**53 + 1, third], dtype="Int64")
    frame, counts = clean(raw(carline="a", **{column: ids}), **LIMITS)
    assert (len(frame), counts["duplicates"]) == (3, 0)
    assert frame[column].map(str).tolist()[:2] == ["9007199254740992", "9007199254740993"]


@pytest.mark.parametrize("codes", [[1, 3, None], ["1", "3.0", None]])
def test_a_whole_number_reads_alike_in_any_column_of_texts(codes):
    column = pd.array(codes, dtype="Int64") if codes == [1, 3, None] else codes
    frame, _ = clean(raw(car_truck=column), **LIMITS)
    assert frame["car_truck"].tolist()[:2] == ["1", "3"] and frame["car_truck"].hasnans


@pytest.mark.parametrize(
    "date",
    [
        "2021-02-01",
        "2021-02-01T00:00:00+02:00",
        "2021-02-01 23:59:59.5-0500",
        20210201,
        pd.Timestamp("2021-02-01", tz="Asia/Tokyo"),
    ],
)
def test_dates_have_one_type(date):
    for dates in (["2012-05-06", date, None], [date, date, None]):
        frame, _ = clean(raw(release_date=pd.Series(dates)), **LIMITS)
        assert frame["release_date"].dtype == "datetime64[us]"
        assert frame["release_date"][1] == pd.Timestamp("2021-02-01")
        assert frame["release_date"].isna().tolist() == [False, False, True]


def test_types():
    frame, _ = clean(raw(fuel_cell=None, car_truck=[1, 2, None]), **LIMITS)
    assert set(frame[NUMBER_COLUMNS].dtypes) == {pd.Series([0.5]).dtype}
    assert frame["fuel_cell"].isna().all()
    assert isinstance(frame["car_truck"][0], str)


def test_the_raw_data_stay_as_they_are():
    before = raw(engine_displacement=[0, 0, 2], comb_mpg=[99, 20, 20])
    after = before.copy()
    clean(after, **LIMITS)
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (raw().drop(columns="comb_mpg"), r"lack the columns \['comb_mpg'\]; they have \['city"),
        (
            raw(comb_mpg=99),
            "of 3 rows: 0 have no comb_mpg, 3 have a comb_mpg that is not between 5",
        ),
        (raw(engine_displacement=10), "3 have a engine_displacement that is not between 0 and 9"),
        (raw(comb_mpg=None), "none of 3 rows: 3 have no comb_mpg. Correct"),
        (raw().head(0), "none of 0 rows"),
        (raw(comb_mpg=["20", "twenty", "x"]), "'twenty' in column 'comb_mpg' is not a number"),
        (raw(model_yr=[5, -float("inf"), 6]), "'-inf' in column 'model_yr' is not a finite"),
        (raw(no_gears=["5", "1e999", "6"]), "'1e999' in column 'no_gears' is not at least 0 and f"),
        (raw(no_gears=pd.Timestamp(0)), "'1970-.*' in column 'no_gears' is not a number"),
        (raw(release_date="May"), r"'May' in column 'release_date' is not a date .*\(3 such"),
    ],
)
def test_fault_is_told(frame, message):
    with pytest.raises(UserError, match=message):
        clean(frame, **LIMITS)


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (2012, {"restored_na": 850, "zero_displacement": 7, "duplicates": 2, "rows_out": 1121}),
        (2021, {"restored_na": 439, "unknown_codes": 31, "duplicates": 0, "rows_out": 1108}),
    ],
)
def test_real_data(year, expected):
    once, counts = clean(pd.read_csv(DATA / f"epa_fuel_economy_{year}.csv"), **LIMITS)
    assert counts.items() >= expected.items()
    twice, counts = clean(once, **LIMITS)
    pd.testing.assert_frame_equal(once, twice)
    assert counts["rows_in"] == counts["rows_out"]


def anything(columns: str, task: str = "regression") -> dict:
    """The arguments of `clean` for a table with the target y."""
    text = f"target: y\ntask: {task}\ncolumns: {{x: {{kind: category}}, {columns}}}"
    return {"contract": parse_contract(text, "test"), "unknown_codes": []}


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"x": ["a", "b", "c"], "y": [1, 2, 3]} | columns)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 1], [0, 1, 1]),
        (pd.array([0, None, 1], dtype="Int64"), [0, 1]),
        ([True, False, True], [True, False, True]),
        (pd.array([True, None, False], dtype="boolean"), [True, False]),
        (["yes", "no", None], ["yes", "no"]),
        ([1.0, None, 2.0], ["1", "2"]),
    ],
)
def test_a_class_keeps_its_type(labels, expected):
    frame, counts = clean(table(y=labels), **anything("y: {kind: category}", "classification"))
    assert frame["y"].tolist() == expected
    assert {type(label) for label in frame["y"].tolist()} == {type(expected[0])}
    assert counts["without_target"] == 3 - len(expected)


@pytest.mark.parametrize(
    ("outside", "kept"), [("null", [1.0, None, None, None]), ("drop", [1.0, None])]
)
def test_what_lies_outside_the_limits(outside, kept):
    frame = table(z=[1, 9, float("inf")])
    frame = pd.concat([frame, frame.head(1).assign(x="d", z=None)], ignore_index=True)
    limited = anything(f"y: {{kind: number}}, z: {{kind: number, max: 5, outside: {outside}}}")
    cleaned, _ = clean(frame, **limited)
    assert [None if pd.isna(each) else each for each in cleaned["z"]] == kept


def test_what_is_refused_says_the_limit():
    with pytest.raises(UserError, match=r"'9' in column 'z' is not at most 5 and finite \(1 such"):
        clean(table(z=[1, 9, 2]), **anything("y: {kind: number}, z: {kind: number, max: 5}"))


def test_a_date_has_the_format_of_the_contract():
    dated = anything('y: {kind: number}, z: {kind: date, format: "%d/%m/%Y"}')
    frame, unreadable, _ = tidy(table(z=["31/12/2020", "1/2/2021", "2021-02-01"]), **dated)
    assert frame["z"].dt.strftime("%Y-%m-%d").tolist()[:2] == ["2020-12-31", "2021-02-01"]
    assert unreadable["z"].tolist() == ["2021-02-01"]


def test_columns_that_the_contract_lacks_stay():
    frame, _ = clean(table(more=[7, 8, 9], y=["1", "2", "3"]), **anything("y: {kind: number}"))
    assert frame["more"].tolist() == [7, 8, 9] and frame["y"].tolist() == [1.0, 2.0, 3.0]
