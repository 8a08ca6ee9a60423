"""Each row is scored or told apart with a reason, none is lost, whatever the chunks are."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyRegressor

from _utils.errors import UserError
from _utils.example.fuel_economy import correct
from _utils.tabular.chunks import columns_outside, score_file
from _utils.tabular.cleaning import clean, tidy
from _utils.tabular.contract import Contract, parse_contract, read_contract
from _utils.tabular.model import random_forest
from _utils.tabular.scoring import predict, prepare, score
from _utils.tabular.tables import read_table
from _utils.tabular.terms import CATEGORY, NUMBER

DATA = Path(__file__).parents[3] / "resources" / "data"
OVERRIDES = {"columns": {"comb_mpg": {"min": 0, "max": 200}, "engine_displacement": {"max": 9}}}
CARS = read_contract(DATA / "fuel_economy.contract.yaml", OVERRIDES)
FEATURES = [*CARS.features]
NUMERIC = [name for name, kind in CARS.features.items() if kind == NUMBER]
CATEGORICAL = [name for name, kind in CARS.features.items() if kind == CATEGORY]
TEXT = "carline"
LIMITS = {"unknown_codes": ["??"], "rules": correct}
VERSIONS = {"model_version": "3", "input_version": "0123456789ab"}


def cars(**columns) -> pd.DataFrame:
    """Three cars, with these columns instead."""
    ordinary = dict.fromkeys(NUMERIC, 4.0) | {name: ["a", "b", "a"] for name in CATEGORICAL}
    return pd.DataFrame(ordinary | {TEXT: ["Golf", "Golf Plus", "Polo"]} | columns)


@pytest.fixture(scope="module")
def model():
    return random_forest(CARS, cars(), 10, {"n_estimators": 2}).fit(cars(), [40.0, 30.0, 20.0])


class Constant:
    """A model that takes no time."""

    feature_names_in_ = FEATURES

    def predict(self, frame):
        return [30.0] * len(frame)


@pytest.fixture
def scored(tmp_path):
    """Scores a table as a file; returns the two tables that it ends in, and the counts."""

    def scored(table: pa.Table, chunk_rows: int = 2):
        source, *targets = (tmp_path / name for name in ("in", "scored", "rejected"))
        pq.write_table(table, source)
        counts = score_file(
            source, Constant(), CARS, *targets, versions=VERSIONS, chunk_rows=chunk_rows, **LIMITS
        )
        return *map(pq.read_table, targets), counts

    return scored


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"engine_displacement": ["2.0", "two", None]}, "engine_displacement 'two' is not a numb"),
        ({"engine_displacement": [2, 9.5, 0]}, "engine_displacement 9.5 is not between 0 and 9"),
        ({"no_gears": [6, -1, None]}, "no_gears -1.0 is below 0 or infinite"),
        ({"no_cylinders": [4, float("inf"), 4]}, "no_cylinders inf is below 0 or inf"),
        ({"carline": ["Golf", None, "Polo"]}, "carline is empty"),
        ({"carline": ["Golf", " ", "Polo"]}, "carline is empty"),
        ({"carline": ["Golf", "??", "Polo"]}, "carline is empty"),
        ({"no_gears": ["6", "x", "??"], "carline": ["Golf", "", "Polo"]}, "r; carline is empty"),
    ],
)
def test_what_cannot_be_scored_has_a_reason_and_stays_as_it_is(columns, reason):
    chunk = cars(**columns)
    rows, rejected = prepare(chunk, CARS, **LIMITS)
    assert rows.index.tolist() == [0, 2] and rejected.index.tolist() == [1]
    assert reason in rejected["rejection_reason"][1]
    pd.testing.assert_frame_equal(rejected.drop(columns="rejection_reason"), chunk.loc[[1]])


def test_nulls_codes_and_unknown_categories_are_scored(model):
    unusual = {"no_gears": None, "class": ["new", None, "??"], "fuel_cell": None}
    rows, reasons = score(model, cars(**unusual, comb_mpg=["30", "?", None]), CARS, **LIMITS)
    assert len(rows) == 3 and reasons.empty
    assert rows["prediction"].between(20, 40).all()
    assert rows["class"].tolist()[0] == "new" and rows["class"].isna().tolist()[1:] == [True, True]
    assert rows["comb_mpg"].isna().tolist() == [False, True, True]  # a label that is none


def test_rows_are_as_cleaning_leaves_them():
    raw = pd.read_csv(DATA / "epa_fuel_economy_2021.csv")
    rows, rejected = prepare(raw, CARS, **LIMITS)
    cleaned, _ = clean(raw, CARS, **LIMITS)
    assert rejected.empty
    pd.testing.assert_frame_equal(rows, cleaned)


CELLS = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "??", "a", "4", "4.5", "-1", "nan", "1e300", "1e999", "Golf"]),
    st.text(max_size=3),
)
COLUMNS = [*NUMERIC, "class", TEXT, "comb_mpg", "release_date"]
DIRTY = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, CELLS)), max_size=6)
NUMBERS = st.lists(st.fixed_dictionaries(dict.fromkeys(NUMERIC, st.floats())), max_size=6)


@pytest.mark.slow
@settings(max_examples=10)
@given(DIRTY | NUMBERS)
def test_no_row_is_lost_and_none_is_doubled(model, rows):
    others = {name: "a" for name in FEATURES}
    chunk = pd.DataFrame([others | row for row in rows], columns=FEATURES)
    scored, reasons = score(model, chunk, CARS, **LIMITS)
    assert sorted([*scored.index, *reasons.index]) == chunk.index.tolist()
    assert scored["prediction"].between(20, 40).all()
    assert all(reasons)
    # Each row is judged by itself
    for number in chunk.index:
        alone, _ = score(model, chunk.loc[[number]], CARS, **LIMITS)
        assert alone.index.isin(scored.index).all() and len(alone) == (number in scored.index)


@pytest.mark.filterwarnings("ignore:overflow")
def test_rows_that_the_model_fails_for_are_found(model):
    # Finite, but more than the forest's 32 bits hold
    scored, reasons = score(model, cars(no_gears=[4, 1e300, 6]), CARS, **LIMITS)
    assert reasons.index.tolist() == [1] and len(scored) == 2
    assert reasons.str.fullmatch("the model fails: .*float32.*").all()


def test_a_prediction_that_is_no_number_is_none():
    class Model(Constant):
        def predict(self, frame):
            return [30.0, float("nan"), float("inf")][: len(frame)]

    predicted, reasons = predict(Model(), cars())
    assert predicted["prediction"].tolist() == [30.0]
    assert reasons.tolist() == ["the model predicts nan", "the model predicts inf"]


class TestFile:
    def table(self):
        """Cars, some of which cannot be scored; the first chunk has only nulls in some columns."""
        columns = {
            "no_gears": [None, None, 5, 6, 7],
            "car_truck": [None, None, 1, None, 2],  # text that looks like numbers
            "carline": ["Golf", None, "Polo", "", "Up"],
            "comb_mpg": [None, None, 30, 31, 32],
            "release_date": [None, None, "2021-02-01", "May", None],
            "vin": [None, 2**62 + 1, 3, None, 5],  # unknown to us, and no double holds it
            "options": [["a"], None, [], ["b"], ["c", "d"]],
        }
        ordinary = {name: ["4"] * 5 for name in FEATURES}
        return pa.table(ordinary | columns)

    def test_chunks_make_no_difference(self, scored):
        table = self.table()
        one_by_two, rejected, counts = scored(table)
        assert counts == ({"rows": 5, "scored": 3, "rejected": 2}, {"carline is empty": 2})
        assert one_by_two.num_rows + rejected.num_rows == 5
        assert scored(table, chunk_rows=100) == (one_by_two, rejected, counts)

    def test_columns(self, scored):
        table = self.table()
        predictions, rejected, _ = scored(table)
        assert predictions["carline"].to_pylist() == ["Golf", "Polo", "Up"]
        assert predictions["no_gears"].to_pylist() == [None, 5.0, 7.0]
        assert predictions["car_truck"].to_pylist() == [None, "1", "2"]
        for name in ("vin", "options"):
            assert predictions[name] == table[name].take([0, 2, 4])
        assert predictions.schema.field("release_date").type == pa.timestamp("us")
        added = ["prediction", "model_version", "input_version"]
        assert predictions.column_names == [*table.column_names, *added]
        assert set(predictions["model_version"].to_pylist()) == {"3"}
        assert rejected.drop_columns("rejection_reason") == table.take([1, 3])

    @pytest.mark.parametrize("kind", ["float64", "uint8"])
    def test_whole_numbers_are_the_same_texts_as_in_training(self, scored, tmp_path, kind):
        codes = pa.array([None, None, 1, 3, 1], kind)  # a chunk of nulls, and one without
        names = pa.array(["Golf", "Polo", "Golf", "Polo", "Up"])
        table = self.table().drop_columns(["car_truck", "carline", "options"])
        table = table.append_column("car_truck", codes).append_column("carline", names)
        pq.write_table(table, tmp_path / "raw.parquet")
        trained, _, _ = tidy(read_table(tmp_path / "raw.parquet"), CARS, [])
        predictions, _, _ = scored(table)
        assert predictions["car_truck"].to_pylist() == [None, None, "1", "3", "1"]
        assert trained["car_truck"].tolist()[2:] == ["1", "3", "1"]

    def test_what_was_rejected_can_be_mended_and_given_again(self, scored):
        _, rejected, _ = scored(self.table())
        again, still, _ = scored(rejected)
        assert (again.num_rows, still) == (0, rejected)
        names = pa.array(["Golf", "Polo"])
        mended = rejected.set_column(rejected.column_names.index("carline"), "carline", names)
        assert scored(mended)[0].num_rows == 2

    def test_an_index_of_pandas_is_no_place(self, scored):
        table = pa.Table.from_pandas(cars(carline=["Golf", None, "Polo"]).set_index([[9, 7, 8]]))
        predictions, rejected, _ = scored(table)
        assert predictions["__index_level_0__"].to_pylist() == [9, 8]
        assert rejected["__index_level_0__"].to_pylist() == [7]

    def test_columns_outside_the_contract(self, scored, tmp_path):
        scored(self.table())
        assert columns_outside(tmp_path / "in", CARS) == ["vin", "options"]
        assert columns_outside(tmp_path / "scored", CARS) == ["vin", "options"]

    def test_no_rows(self, scored):
        predictions, rejected, counts = scored(self.table().slice(0, 0))
        assert (predictions.num_rows, rejected.num_rows, counts) == (
            0,
            0,
            (dict.fromkeys(["rows", "scored", "rejected"], 0), {}),
        )

    def test_a_fault_of_the_whole(self, scored, tmp_path):
        with pytest.raises(UserError, match=r"needs \['drive_sys'\], which the input lacks"):
            scored(self.table().drop_columns("drive_sys"))
        with pytest.raises(UserError, match=r"another delimiter or encoding, set data.csv"):
            scored(pa.table({"drive_sys;class": ["4;a"]}))
        nested = pa.array([[1]] * 5)
        with pytest.raises(UserError, match="'class' of the input holds values of the type list"):
            scored(self.table().drop_columns("class").append_column("class", nested))
        (tmp_path / "text").write_text("no table")
        with pytest.raises(UserError, match="text is not a Parquet file"):
            score_file(tmp_path / "text", Constant(), CARS, tmp_path / "a", tmp_path / "b",
                       versions={}, chunk_rows=1, **LIMITS)  # fmt: skip


CHURN = parse_contract(
    "{target: y, task: classification, columns: {y: {kind: category}, a: {kind: number}, "
    "b: {kind: text, nullable: true}, d: {kind: date}}}",
    "test",
)


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True], ["a", "b", "c"]])
def test_classes_have_their_type_and_probabilities(tmp_path, labels):
    days = ["2020-01-01", "2021-01-01", None]
    table = pd.DataFrame(
        {"a": [1, 2, 3], "b": ["x", None, "z"], "d": days, "y": [*labels, None][:3]}
    )
    features, _ = prepare(table, CHURN, [])
    model = random_forest(CHURN, features, 5, {"n_estimators": 3, "random_state": 1})
    model.fit(features.head(len(labels))[[*CHURN.features]], labels)
    table = pd.concat([table, pd.DataFrame({"a": ["many"], "d": "May"})])
    pq.write_table(pa.Table.from_pandas(table.astype({"a": "str"})), tmp_path / "in")
    counts, reasons = score_file(
        tmp_path / "in", model, CHURN, tmp_path / "out", tmp_path / "rejected",
        versions={}, chunk_rows=2, unknown_codes=[],
    )  # fmt: skip
    scored = pq.read_table(tmp_path / "out")
    assert (counts["scored"], counts["rejected"]) == (3, 1)
    assert [*reasons] == ["a 'many' is not a number; d 'May' is not a date"]
    assert {type(each) for each in scored["prediction"].to_pylist()} == {type(labels[0])}
    shares = [scored[f"probability_{label}"].to_pylist() for label in labels]
    assert [sum(row) for row in zip(*shares, strict=True)] == pytest.approx([1, 1, 1])


def test_a_wide_table_is_scored_without_a_warning(recwarn):
    names = [f"x{number}" for number in range(150)]
    columns = {name: {"kind": "number", "nullable": True} for name in [*names, "y"]}
    contract = Contract.model_validate({"target": "y", "task": "regression", "columns": columns})
    frame = pd.DataFrame({name: [1.0, 2.0] for name in [*names, "y"]})
    score(DummyRegressor().fit(frame[names], frame["y"]), frame, contract, [])
    assert not recwarn.list
