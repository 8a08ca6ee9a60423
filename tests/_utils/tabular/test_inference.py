"""The contract of an unknown table is guessed, and each guess has its reason."""

import datetime as dt
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_tables import TABLES, make_table, write_csv

from _utils.errors import UserError
from _utils.tabular.contract import parse_contract
from _utils.tabular.convert import to_parquet
from _utils.tabular.inference import infer_contract, read_sample
from _utils.tabular.kinds import guess_kind
from _utils.tabular.tables import read_table

MANY = range(100)


def guess(values, name="x"):
    return guess_kind(name, pd.Series(values))


def infer(frame, target="y"):
    return infer_contract(pd.DataFrame(frame), target)


def contract_of(inferred):
    return parse_contract(inferred.contract, "inferred")


@pytest.fixture(scope="module")
def inferred(tmp_path_factory):
    """What is inferred of the tables, as they are read from CSV files."""
    folder, found = tmp_path_factory.mktemp("tables"), {}
    for name, target in TABLES.items():
        to_parquet(write_csv(make_table(name), folder / f"{name}.csv"), folder / f"{name}.parquet")
        found[name] = infer_contract(read_table(folder / f"{name}.parquet"), target)
    return found


class TestTables:
    @pytest.mark.parametrize(
        ("name", "task", "positive", "classes"),
        [
            ("diabetes", "regression", None, None),
            ("breast_cancer", "classification", 0, [0, 1]),
            ("wine", "classification", None, [0, 1, 2]),
            ("unpleasant", "classification", "yes", ["no", "yes"]),
        ],
    )
    def test_the_task_comes_from_the_target(self, inferred, name, task, positive, classes):
        contract = contract_of(inferred[name])
        assert (contract.task, contract.positive) == (task, positive)
        assert contract.columns[TABLES[name]].values == classes
        assert contract.stratify_by == (TABLES[name] if classes else None)

    @pytest.mark.parametrize("name", ["diabetes", "breast_cancer", "wine"])
    def test_numbers_are_features(self, inferred, name):
        contract = contract_of(inferred[name])
        assert {*contract.features.values()} == {"number"}
        assert len(contract.features) == len(contract.columns) - 1
        assert inferred[name].unknown_codes == []

    def test_the_unpleasant_one(self, inferred):
        found = inferred["unpleasant"]
        contract = contract_of(found)
        assert contract.features == {
            **dict.fromkeys(["balance", "calls", "income", "ratio", "score"], "number"),
            **dict.fromkeys(["plan", "region", "yes"], "category"),
            "notes": "text",
            **dict.fromkeys(["signed up", "last visit"], "date"),
        }
        assert contract.of_kind("id") == ["customer_id", "uuid"]
        assert contract.columns["last visit"].format == "%d.%m.%Y"
        assert contract.columns["ratio"].outside == "null"
        assert found.unknown_codes == ["?"]
        reasons = found.guesses.set_index("column")["reason"]
        assert reasons["refund"].startswith("reveals the target: alone it has ROC AUC 1.000")
        assert reasons["comment"] == "no value in any row"
        assert reasons["country"] == "the same value in all rows"
        assert reasons["income"] == "decimals; 30.1% null"
        assert "infinite" in reasons["ratio"] and "'?' read as null" in reasons["score"]
        assert "rows without it are dropped" in reasons["gone"]
        assert "DE" not in found.contract and "Atlantis" not in found.contract

    def test_each_reason_stands_in_the_contract(self, inferred):
        for each in inferred.values():
            text = " ".join(each.contract.replace("\n  #", "").split())
            assert all(reason in text for reason in each.guesses["reason"])


class TestKinds:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ([1.5, 2.0, None], "number"),
            ([1, 2, 2, 1], "number"),
            (["1", "2.5", "NA", "-"], "number"),
            (["1e3", " 7", "-2"], "number"),
            (["01", "02", "02", "01"], "category"),
            ([True, False, True, True], "category"),
            (["a", "b", "a", "a"], "category"),
            (["?", "a", "a", "?"], "category"),
            (["north east", "south", "south", "north east"], "category"),
            ([f"some words {number}" for number in MANY], "text"),
            ([f"{number:05}" for number in MANY], "id"),
            ([f"a-{number}" for number in MANY], "id"),
            ([chr(0x4E00 + number) * 9 for number in MANY], "text"),
            (["2024-01-02", "2024-02-01T10:00:00+02:00"], "date"),
            (["2024-01-02T10:00:00Z", "?"], "date"),
            (["31.12.2024", "1.2.2024"], "date"),
            (["05/31/2024 10:00", "06/01/2024 11:30"], "date"),
            (["3 May 2024", "14 June 2024"], "date"),
            ([dt.date(2024, 1, 2), dt.date(2024, 1, 3)], "date"),
            (pd.to_datetime(["2024-01-02", None]).tz_localize("Asia/Tokyo"), "date"),
            (["10:30", "11:45", "10:30", "11:45"], "category"),
            (["may", "june", "may", "june"], "category"),
            ([20240102, 20240103], "number"),
        ],
    )
    def test_by_the_values(self, values, kind):
        assert guess(values).kind == kind

    @pytest.mark.parametrize(
        ("name", "values", "kind"),
        [
            ("row", MANY, "id"),  # counted
            ("city population", [number**3 for number in MANY], "number"),
            ("city_id", [number**3 for number in MANY], "id"),
            ("CustomerID", [number % 50 for number in MANY], "id"),
            ("region_id", [number % 5 for number in MANY], "number"),
            ("video", [number % 50 for number in MANY], "number"),
            ("price_id", [number / 7 for number in MANY], "number"),
            ("account", [10**7 + number**3 for number in MANY], "id"),
            ("x", range(10), "number"),
        ],
    )
    def test_an_id_by_its_values_and_its_name(self, name, values, kind):
        assert guess(values, name).kind == kind

    @pytest.mark.parametrize("values", [[None, None], [3, 3, 3], ["a"] * 3, [2.0, None], ["", ""]])
    def test_a_column_without_information_is_no_feature(self, values):
        assert not guess(values).use

    def test_a_text_beside_nulls_is_information(self):
        assert guess(["Y", None, "Y"]).use

    def test_days_and_months_that_fit_both_ways_are_said(self):
        found = guess(["01/02/2024", "03/04/2024"])
        assert (found.format, "%d/%m/%Y fits too" in found.reason) == ("%m/%d/%Y", True)
        assert guess(["01/02/2024", "31/04/2024"]).kind != "date"  # April has 30 days
        assert guess(["01/02/2024", "31/03/2024"]).format == "%d/%m/%Y"

    def test_reasons_hold_neither_ids_nor_texts_nor_what_few_rows_have(self):
        assert "7" not in guess([f"code{7}{number}" for number in MANY]).reason.replace("97", "")
        assert "Mary" not in guess([f"Mary said {number}" for number in MANY]).reason
        assert guess(["a"] * 9 + ["Mary"]).reason == "2 different values: a"


class TestTargets:
    @pytest.mark.parametrize(
        ("values", "task"),
        [
            ([0, 1] * 10, "classification"),
            ([0.0, 1.0, None, 1.0], "classification"),
            ([True, False] * 3, "classification"),
            (["a", "b"] * 3, "classification"),
            ([1, 2, 3] * 3, "regression"),  # few rows
            ([1, 2, 3] * 30, "classification"),
            ([*range(21)] * 30, "regression"),
            ([0.5, 1.5] * 9, "regression"),
            (["1", "2.5", "NA", "4"], "regression"),
        ],
    )
    def test_the_task(self, values, task):
        numbers = np.arange(len(values)) % 4
        assert contract_of(infer({"x": numbers, "y": values})).task == task

    @pytest.mark.parametrize(
        ("values", "positive"),
        [
            ([0, 1, 1], 0),
            ([True, False, False], True),
            (["no", "yes"], "yes"),
            (["1", "0", "0"], "1"),
            (["a: b", "#", "#"], "a: b"),
        ],
    )
    def test_positive_is_the_rarer_class_with_its_type(self, values, positive):
        found = contract_of(infer({"x": [5, 6, 6, 5][: len(values)], "y": values})).positive
        assert (found, type(found)) == (positive, type(positive))

    @pytest.mark.parametrize(
        ("values", "told"),
        [
            ([1, 1, None], "has the same value in all rows"),
            (["a", "a", "a"], "has the same value in all rows"),
            ([None, None, None], "has no value in any row"),
            (["2024-01-02", "2024-01-03", "2024-01-05"], "is a date"),
            ([f"text {number}" for number in MANY], "100 different texts in 100 rows"),
        ],
    )
    def test_what_cannot_be_predicted_is_told(self, values, told):
        with pytest.raises(UserError, match=told):
            infer({"x": range(len(values)), "y": values})

    def test_an_unknown_name_is_told_with_the_nearest(self):
        frame = {"churned": [1, 0], "price": [1, 2]}
        with pytest.raises(
            UserError, match=r"no column 'churn' .* Set target to one of 'churned'\."
        ):
            infer(frame, "churn")

    def test_a_table_without_features_is_told(self):
        with pytest.raises(UserError, match=r"No column is left .*x: the same value in all rows"):
            infer({"x": [1, 1, 1], "y": [0, 1, 1]})

    def test_infinite_targets_are_dropped(self):
        found = contract_of(infer({"x": [1, 2, 2, 1], "y": [0.1, 0.2, 0.3, np.inf]}))
        assert found.columns["y"].outside == "drop"


class TestLeaks:
    def used(self, frame):
        return [*contract_of(infer(frame)).features]

    def test_copies_and_functions_of_the_target_are_no_features(self):
        rng = np.random.default_rng(0)
        y = rng.normal(size=600)
        frame = {"honest": y + rng.normal(size=600), "copy": y, "twice": 2 * y + 1, "y": y}
        assert self.used(frame) == ["honest"]

    def test_of_classes(self):
        rng = np.random.default_rng(0)
        y = rng.choice(["a", "b", "c"], 600)
        noise = rng.normal(size=600)
        frame = {"honest": noise + (y == "a"), "text": pd.Series(y).str.upper(), "y": y}
        frame |= {"only then": pd.Series(noise).where(y == "a"), "rows in order": noise}
        assert self.used(frame) == ["honest", "only then", "rows in order"]

    def test_rows_sorted_by_class_are_no_leak(self):
        words = [f"word{number % 97} and {number}" for number in range(600)]
        frame = {"notes": words[::-1], "y": ["no"] * 300 + ["yes"] * 300}
        assert self.used(frame) == ["notes"]

    def test_a_date_that_is_there_for_one_class_only(self):
        left = [f"2024-01-{1 + number % 28:02}" for number in range(600)]
        y = [number % 5 == 0 for number in range(600)]
        frame = {"left": [day if gone else None for day, gone in zip(left, y, strict=True)]}
        frame |= {"honest": np.random.default_rng(0).normal(size=600), "y": y}
        assert self.used(frame) == ["honest"]

    def test_many_columns_take_seconds(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(20_000, 119))).rename(columns=lambda n: f"x{n}")
        start = time.monotonic()
        assert len(self.used(frame.assign(y=rng.random(20_000) < 0.1))) == 119
        assert time.monotonic() - start < 60


def test_a_code_means_unknown_in_all_columns():
    frame = {"x": ["1.5", "NA", "3.5", "4.5"], "c": ["a", "NA", "a", "NA"], "y": [1, 2, 3, 4.5]}
    found = infer(frame)
    assert found.unknown_codes == ["NA"]
    assert found.guesses.set_index("column")["reason"]["c"] == "one value; 50.0% null"


def test_a_sample_of_a_large_file(tmp_path):
    rows = pa.table({"x": range(10_000), "n": [None, *range(9_999)]})
    pq.write_table(rows, tmp_path / "x.parquet", row_group_size=1000)
    sample, total = read_sample(tmp_path / "x.parquet", 1000)
    assert total == 10_000 and 900 < len(sample) < 1100
    assert sample["x"].max() > 9_900 and sample["n"].dtype.kind == "i"
    pd.testing.assert_frame_equal(sample, read_sample(tmp_path / "x.parquet", 1000)[0])
    assert len(read_sample(tmp_path / "x.parquet")[0]) == 10_000


names = st.text(st.characters(codec="utf-8"), max_size=20)
texts = st.one_of(
    names,
    st.sampled_from(["yes", "no", "null", "~", "1e3", "2024-01-02", "a: b", "# x", "\n", "{"]),
)
cells = st.one_of(
    st.lists(st.one_of(st.none(), texts), min_size=24, max_size=24),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=24, max_size=24),
    st.lists(st.one_of(st.none(), st.floats()), min_size=24, max_size=24),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=24, max_size=24),
    st.lists(st.one_of(st.none(), st.datetimes()), min_size=24, max_size=24),
)


@settings(max_examples=30)
@given(
    st.dictionaries(st.one_of(texts, st.sampled_from(["x" * 2000])), cells, max_size=5),
    texts,
    cells,
)
def test_whatever_a_table_holds_its_contract_can_be_read(tmp_path_factory, columns, name, values):
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    target = name + "!"
    others = {name: values for name, values in columns.items() if name != target}
    pq.write_table(pa.table({**others, "good": [1, 2] * 12, target: values}), path)
    try:
        found = infer_contract(read_table(path), target)
    except UserError as error:
        assert "Choose another column" in str(error)
        return
    contract = contract_of(found)
    assert [*contract.columns] == [*others, "good", target]
    assert [*found.guesses["column"]] == [*contract.columns]
    assert contract.target == target


SIGNS = "numbers with signs; to use them"


@pytest.mark.parametrize(
    ("written", "kind", "is_feature", "reason"),
    [
        ([f"${n * 1234:,.2f}" for n in MANY], "text", False, SIGNS),
        ([f"{n / 10} %" for n in MANY], "text", False, SIGNS),
        ([f"{n + 100},{n + 100}" for n in MANY], "text", False, SIGNS),
        ([f"(1'{n + 100}.50)" for n in MANY], "text", False, SIGNS),
        ([f"1.{n + 100},5 €" for n in MANY], "text", False, SIGNS),
        ([f"0{n}" for n in MANY], "id", False, "an id"),
        (["#DIV/0!", *[f"{n % 9}" for n in MANY]], "number", True, "'#DIV/0!' read as null"),
        ([-999, -999, *MANY], "number", True, "does -999 mean unknown?"),
        ([20240101 + n % 28 for n in MANY], "number", True, "format: '%Y%m%d'"),
        ([f"{1 + n % 28}.01.24" for n in MANY], "date", True, "dates as in %d.%m.%y"),
        ([f"1/{1 + n % 28}/2024 3:45 PM" for n in MANY], "date", True, "%m/%d/%Y %I:%M %p"),
    ],
)
def test_what_people_write(written, kind, is_feature, reason):
    found = guess(written)
    assert (found.kind, found.is_feature) == (kind, is_feature)
    assert reason in found.reason


def test_a_name_that_scoring_uses():
    frame = {"x": [n % 7 + 0.5 for n in MANY], "prediction": [n % 9 for n in MANY]}
    found = infer(frame | {"probability_rain": frame["x"][::-1], "y": [n % 2 for n in MANY]})
    assert [*contract_of(found).features] == ["x"]
    assert "rename it" in found.guesses.set_index("column")["reason"]["prediction"]
    with pytest.raises(UserError, match=r"cannot be called 'prediction'.*Rename it"):
        infer(frame, "prediction")


def test_rows_that_cleaning_drops_do_not_count():
    frame = pd.DataFrame({"x": [n % 60 + 0.5 for n in MANY], "y": [n % 60 * 2 + 0.5 for n in MANY]})
    found = infer(frame.assign(y=frame["y"].mask(frame["x"] < 10)))
    assert found.kept == 50 and found.settings(found.kept)["checks.min_rows"] == 45


def test_an_index_of_pandas(tmp_path):
    frame = pd.DataFrame({"x": [n + 0.5 for n in MANY], "y": [n % 2 for n in MANY]}, [*MANY][::-1])
    for saved in (frame, frame.rename_axis("key"), frame.set_index("y")):
        saved.to_parquet(tmp_path / "x.parquet")
        sample, _ = read_sample(tmp_path / "x.parquet")
        assert {"x", "y"} <= {*sample} <= {"x", "y", "key"} and [*sample.index] == [*MANY]
        assert infer_contract(sample, "y").task == "classification"


def test_classes_that_are_doubtful():
    labels = ["yes"] * 40 + ["Yes"] * 30 + ["NA"] * 30
    reason = infer({"y": labels, "x": [n % 9 + 0.5 for n in MANY]}).guesses["reason"][0]
    assert "some differ only in capitals" in reason and "does 'NA' mean unknown?" in reason
    with pytest.raises(UserError, match=r"no column 'Y' to predict\. Set target to one of ' y'"):
        infer({" y": labels, "x": labels}, "Y")


def test_a_class_of_one_row_may_be_a_typing_error():
    labels = ["good"] * 60 + ["bad"] * 39 + ["goood"]
    frame = pd.DataFrame({"y": labels, "x": [each + 0.5 for each in range(100)]})
    reasons = infer_contract(frame, "y").guesses.set_index("column")["reason"]
    assert reasons["y"].endswith("; only 1 of goood, a typing error?")
    without = infer_contract(frame[:-1], "y").guesses
    assert not without["reason"].str.contains("typing").any()
