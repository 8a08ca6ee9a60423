from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _utils.errors import UserError
from _utils.tabular.columns import to_numbers, to_text
from _utils.tabular.contract import read_contract
from _utils.tabular.drift.batch import kinds_of
from _utils.tabular.drift.measures import compare, count_cells, psi
from _utils.tabular.drift.verdict import judge, summarize
from _utils.tabular.terms import CATEGORY, NUMBER, TEXT

DATA = Path(__file__).parents[4] / "resources" / "data"
CONTRACT = read_contract(DATA / "fuel_economy.contract.yaml")
KINDS = kinds_of(CONTRACT)
LIMITS = {
    "max_psi": 0.25,
    "significance": 0.01,
    "max_new_missing": 0.1,
    "max_unseen_share": 0.2,
    "max_loss_ratio": 1.25,
}


def cars(year: int) -> pd.DataFrame:
    """The features, about as cleaning leaves them."""
    raw = pd.read_csv(DATA / f"epa_fuel_economy_{year}.csv").replace("??", None)
    raw = raw[raw["comb_mpg"].between(5, 70)].drop_duplicates().reset_index(drop=True)
    raw["engine_displacement"] = raw["engine_displacement"].replace(0, None)
    return pd.DataFrame(
        {
            name: to_numbers(raw[name]) if kind == NUMBER else to_text(raw[name])
            for name, kind in KINDS.items()
        }
    )


def reasons(known: pd.DataFrame, new: pd.DataFrame) -> pd.Series:
    return judge(compare(known, new, KINDS), "mae", {}, len(new), **LIMITS)


def column(values: list) -> pd.Series:
    return pd.Series(values, name="x")


def letters(**counts: int) -> pd.Series:
    return column([letter for letter, count in counts.items() for _ in range(count)])


def verdict(reference: pd.Series, batch: pd.Series, kind: str) -> list[str]:
    table = compare(reference.to_frame(), batch.to_frame(), {"x": kind})
    return judge(table, "mae", {}, len(batch), **LIMITS).tolist()


def samples(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.one_of(st.none(), values), min_size=1, max_size=60)


class TestPsi:
    def test_by_hand(self):
        counts = count_cells(letters(a=50, b=50), letters(a=80, b=20))
        assert counts.to_dict() == {"reference": {"a": 50, "b": 50}, "batch": {"a": 80, "b": 20}}
        assert psi(counts) == pytest.approx(0.3 * log(0.8 / 0.5) - 0.3 * log(0.2 / 0.5))

    def test_empty_cell_counts_as_half_a_row(self):
        counts = count_cells(letters(a=50, b=50), letters(a=100))
        assert psi(counts) == pytest.approx(0.5 * log(2) - 0.495 * log(0.005 / 0.5))

    def test_numbers_by_quantiles_of_the_reference(self):
        reference, batch = column([*map(float, range(100))]), column([1000.0] * 100)
        counts = count_cells(reference, batch)
        assert counts["reference"].tolist() == [10] * 10
        assert counts["batch"].tolist() == [0] * 9 + [100]

    @pytest.mark.parametrize(
        "numbers",
        [
            [-2.2e-308] * 20 + [*range(10)] * 10,
            [number * 5e-324 for number in range(30)],
            [1 + number * 2.3e-16 for number in range(30)],
            [-np.inf] * 9 + [*range(12)] + [np.inf] * 9,
            [-1.7e308, *range(12), 1.7e308] * 3,
        ],
    )
    def test_any_numbers_can_be_counted(self, numbers):
        numbers = column([*map(float, numbers)])
        counts = count_cells(numbers, numbers[::-1])
        assert counts.sum().tolist() == [len(numbers)] * 2 and counts.index.is_unique
        assert psi(counts) == 0
        table = compare(numbers.to_frame(), numbers.to_frame(), {"x": NUMBER})
        assert table.loc[0, "p_value"] == 1

    def test_few_numbers_are_cells_of_their_own(self):
        assert psi(count_cells(column([5.0] * 50), column([4.0] * 50))) > 5

    def test_null_is_a_cell(self):
        counts = count_cells(column(["a"] * 20), column(["a"] * 10 + [None] * 10))
        assert counts.loc["null"].tolist() == [0, 10]

    @pytest.mark.parametrize("kind", ["float64", "object", "str"])
    def test_nulls_only(self, kind):
        nulls = pd.Series([None] * 50, name="x", dtype=kind)
        assert psi(count_cells(nulls, nulls)) == 0
        filled = letters(a=50) if kind != "float64" else column([1.0] * 25 + [2.0] * 25)
        assert psi(count_cells(filled, nulls)) > 0.25
        assert psi(count_cells(nulls, filled)) > 0.25

    def test_rare_values_are_one_cell(self):
        rare = {letter: 1 for letter in "cdefghij"}
        counts = count_cells(letters(a=50, b=42, **rare), letters(a=50, b=50))
        assert counts.loc["others"].tolist() == [8, 0] and len(counts) == 3

    def test_a_value_that_is_called_null_is_not_lost(self):
        values = column(["null"] * 20 + [None] * 20 + ["a"] * 20)
        assert count_cells(values, values).to_numpy().sum() == 120

    @given(samples(st.floats()), samples(st.floats()))
    def test_never_negative_and_zero_for_the_same_numbers(self, one, other):
        self.check(pd.Series(one, dtype="float64"), pd.Series(other, dtype="float64"))

    @given(samples(st.sampled_from("abcdefgh")), samples(st.sampled_from("efghijkl")))
    def test_never_negative_and_zero_for_the_same_texts(self, one, other):
        self.check(pd.Series(one, dtype="object"), pd.Series(other, dtype="object"))

    def check(self, one, other):
        counts = count_cells(one, other)
        assert counts.sum().tolist() == [len(one), len(other)]
        assert psi(counts) >= 0
        assert psi(count_cells(one, one)) == 0


class TestCompare:
    def test_unseen_categories(self):
        table = compare(
            letters(a=3).to_frame(), column(["a", "b", None]).to_frame(), {"x": CATEGORY}
        )
        assert table.loc[0, ["unseen", "unseen_values", "missing"]].tolist() == [
            0.5,
            "b (1)",
            1 / 3,
        ]

    def test_unseen_words(self):
        reference, batch = column(["Civic 4DR", None]), column(["CIVIC hybrid", None])
        table = compare(reference.to_frame(), batch.to_frame(), {"x": TEXT})
        assert table.loc[0, ["unseen", "unseen_values"]].tolist() == [0.5, "hybrid (1)"]
        assert table["psi"].isna().all()

    @pytest.mark.parametrize("kind", [CATEGORY, TEXT])
    def test_nulls_only(self, kind):
        nulls = pd.Series([None] * 9, name="x", dtype="object")
        assert compare(nulls.to_frame(), nulls.to_frame(), {"x": kind}).loc[0, "unseen"] == 0

    @pytest.mark.parametrize(
        ("reference", "batch", "told"),
        [
            (letters(a=1).to_frame(), letters().to_frame(), "The batch has 0 rows"),
            (letters().to_frame(), letters(a=1).to_frame(), "The reference has 0 rows"),
            (letters(a=1).to_frame(), pd.DataFrame({"y": [1]}), r"The batch lacks \['x'\]"),
        ],
    )
    def test_nothing_to_compare(self, reference, batch, told):
        with pytest.raises(UserError, match=told):
            compare(reference, batch, {"x": CATEGORY})


class TestVerdict:
    @pytest.mark.parametrize(
        ("kind", "value"), [(NUMBER, 99.0), (NUMBER, np.nan), (CATEGORY, "z"), (TEXT, "z")]
    )
    def test_one_row_is_no_alarm(self, kind, value):
        reference = column([*map(float, range(900))] if kind == NUMBER else ["a"] * 900)
        assert verdict(reference, column([value]), kind) == []

    def test_large_samples_with_little_change_are_no_alarm(self):
        reference, batch = letters(a=5_000, b=5_000), letters(a=5_500, b=4_500)
        table = compare(reference.to_frame(), batch.to_frame(), {"x": CATEGORY})
        assert table.loc[0, "p_value"] < 1e-9 and verdict(reference, batch, CATEGORY) == []

    def test_drift(self):
        assert (
            "PSI 0.42, limit 0.25" in verdict(letters(a=50, b=50), letters(a=80, b=20), CATEGORY)[0]
        )
        same = column([*map(float, range(200))])
        assert "(KS 0.5," in verdict(same, same + 100, NUMBER)[0]

    def test_missing(self):
        reference, batch = column(["word"] * 100), column(["word"] * 75 + [None] * 25)
        assert verdict(reference, batch, TEXT) == ["25.0% missing (0.0% in training data)"]
        assert verdict(reference, batch[10:90], TEXT) == []  # 18.8 % may be chance
        assert verdict(batch, batch, TEXT) == []

    def test_unseen(self):
        batch = column(["word"] * 60 + ["<new>"] * 40)
        assert verdict(column(["word"] * 100), batch, TEXT) == ["40.0% unseen, such as new (40)"]

    def test_in_one_line(self):
        reasons = pd.Series(["MAE 9", "PSI 2", "PSI 1"], index=["performance", "a", "b"])
        assert summarize(reasons) == "ALARM: MAE 9; a PSI 2; b PSI 1"
        assert summarize(reasons, most=2) == "ALARM: MAE 9; a PSI 2; 1 more in report.html"
        assert summarize(reasons[:0]).startswith("No alarm: ")


class TestControl:
    """Real data, both ways."""

    @pytest.mark.slow
    def test_random_halves_of_one_year_raise_no_alarm(self):
        known = cars(2012)
        for seed in range(50):
            order = np.random.default_rng(seed).permutation(len(known))
            halves = known.iloc[order[: len(known) // 2]], known.iloc[order[len(known) // 2 :]]
            assert reasons(*halves).empty, seed

    def test_other_years_do(self):
        known, new = cars(2012), cars(2021)
        found = reasons(known, new)
        drifted = {"car_truck", "class", "no_gears", "mfr_name", "division", "transmission"}
        assert {*found.index} == drifted | {"air_aspir_method", "carline"}
        assert found["car_truck"].tolist()[1] == "48.6% missing (0.4% in training data)"

    @pytest.mark.slow
    @pytest.mark.parametrize("rows", [10, 30, 100])
    def test_small_batches(self, rows):
        known, new = cars(2012), cars(2021)
        alarms = {"same": 0, "other": 0}
        for seed in range(5):
            batch = known.sample(rows, random_state=seed)
            alarms["same"] += not reasons(known, batch).empty
            batch = new.sample(rows, random_state=seed)
            alarms["other"] += not reasons(known, batch).empty
        assert alarms["same"] == 0 and alarms["other"] >= (1 if rows == 10 else 5)
