import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _utils.errors import UserError
from _utils.tabular.contract import parse_contract
from _utils.tabular.splitting import split as split_by_contract

DATA = Path(__file__).parents[3] / "resources" / "data"
GROUPS = ["division", "carline"]
CARS = pd.DataFrame(
    {"division": "VW", "carline": ["Golf", "Golf", "Polo"], "class": ["compact", "mini", None]}
)


def split(frame, *, group_by=(), stratify_by=None, split_by=None, **options):
    columns = {
        name: {"kind": "text"} for name in [*GROUPS, "class", *group_by, stratify_by] if name
    }
    columns |= {split_by: {"kind": "date"}} if split_by else {}
    said = {"group_by": [*group_by], "stratify_by": stratify_by, "split_by": split_by}
    text = "{target: x, task: regression, columns: {x: {kind: number}}}"
    return split_by_contract(
        frame, parse_contract(text, "test", said | {"columns": columns}), **options
    )


keys = st.sampled_from(["a", "b", "c", None])
rows = st.lists(st.tuples(keys, keys, keys), min_size=2, max_size=40)


def keys_of(frame: pd.DataFrame) -> set[tuple]:
    return set(frame[GROUPS].fillna("null").itertuples(index=False, name=None))


@given(rows=rows, test_size=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_no_group_on_both_sides_and_nothing_lost(rows, test_size, seed):
    frame = pd.DataFrame(rows, columns=[*GROUPS, "class"], dtype="object")
    frame["row"] = range(len(frame))
    try:
        train, test = split(
            frame, test_size=test_size, group_by=GROUPS, stratify_by="class", seed=seed
        )
    except UserError as error:
        assert "empty" in str(error)
        return
    assert not keys_of(train) & keys_of(test)
    assert sorted([*train["row"], *test["row"]]) == list(range(len(frame)))


@pytest.mark.parametrize("stratify_by", ["class", None])
def test_three_rows(stratify_by):
    train, test = split(CARS, test_size=0.5, group_by=GROUPS, stratify_by=stratify_by, seed=1)
    assert {len(train), len(test)} == {1, 2}
    assert train.index[0] == test.index[0] == 0


def test_nulls_are_a_group_like_any_other():
    cars = CARS.assign(carline=["Golf", None, None])
    sides = split(cars, test_size=0.5, group_by=GROUPS, stratify_by=None, seed=1)
    assert sorted(side["carline"].isna().sum() for side in sides) == [0, 2]
    with pytest.raises(UserError, match="1 groups"):
        split(cars.tail(2), test_size=0.5, group_by=GROUPS, stratify_by=None, seed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_size": 0.0}, "test_size=0.0 is not a share"),
        ({"test_size": 1.0}, "test_size=1.0 is not a share"),
        ({"test_size": 20}, "test_size=20 is not a share"),
        ({"group_by": ["maker"]}, r"by \['maker'\]. Use some of \['division', 'carline', 'cl"),
        ({"stratify_by": "kind"}, r"by \['kind'\]. Use some of"),
        ({"group_by": ["division"]}, "test_size=0.5 of 1 groups of .*empty"),
        ({"test_size": 0.01}, "test_size=0.01 of 2 groups"),
    ],
)
def test_fault_is_told(change, message):
    options = {"test_size": 0.5, "group_by": GROUPS, "stratify_by": "class", "seed": 1}
    with pytest.raises(UserError, match=message):
        split(CARS, **options | change)


def test_without_groups_each_row_is_one():
    frame = pd.DataFrame({"class": ["a", "b"] * 50, "row": range(100)})
    train, test = split(frame, test_size=0.2, stratify_by="class", seed=1)
    assert test["class"].value_counts().to_dict() == {"a": 10, "b": 10}
    assert sorted([*train["row"], *test["row"]]) == [*range(100)]


@pytest.mark.parametrize("group_by", [[], ["class"]])
def test_the_newest_rows_are_the_test_set(group_by):
    days = ["2020-01-03", "2020-01-01", None, "2020-01-03", "2020-01-02"]
    frame = pd.DataFrame(
        {"day": pd.to_datetime(pd.Series(days)), "class": ["a", "b", "c", "a", "d"]}
    )
    train, test = split(frame, test_size=0.4, split_by="day", group_by=group_by, seed=1)
    assert test["day"].dt.day.tolist() == [3, 3]
    assert train["day"].isna().sum() == 1
    train, test = split(frame, test_size=0.6, split_by="day", group_by=group_by, seed=1)
    assert sorted(test["day"].dt.day) == [2, 3, 3]


@pytest.mark.parametrize("year", [2012, 2021])
@pytest.mark.parametrize("test_size", [0.1, 0.2, 0.5])
def test_real_data(year, test_size):
    frame = pd.read_csv(DATA / f"epa_fuel_economy_{year}.csv")
    options = {"test_size": test_size, "group_by": GROUPS, "stratify_by": "class"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = split(frame, **options, seed=42)
    assert len(test) / len(frame) == pytest.approx(test_size, abs=0.005)
    assert not keys_of(train) & keys_of(test)
    in_test, everywhere = test["class"].value_counts(), frame["class"].value_counts()
    assert all(in_test[name] > 0 for name in everywhere[everywhere > 2 / test_size + 10].index)
    off = in_test.reindex(everywhere.index, fill_value=0) - test_size * everywhere
    assert off.abs().max() < 5  # a few cars, for groups are not cut

    pd.testing.assert_frame_equal(test, split(frame, **options, seed=42)[1])
    assert not test.equals(split(frame, **options, seed=43)[1])
