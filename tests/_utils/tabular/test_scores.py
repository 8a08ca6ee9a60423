from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from _utils.errors import UserError
from _utils.tabular.comparisons import baseline, scores_by
from _utils.tabular.contract import Contract
from _utils.tabular.intervals import interval, standard_error
from _utils.tabular.scores import (
    DIRECTIONS,
    check_metric,
    loss,
    positive_class,
    score,
    scores,
)

DATA = Path(__file__).parents[3] / "resources" / "data"
ACTUAL = pd.Series([10.0, 20.0, 30.0])


def contract(task: str, **more) -> Contract:
    kind = {"regression": "number", "classification": "category"}[task]
    columns = {"x": {"kind": "number"}, "y": {"kind": kind}}
    return Contract.model_validate({"target": "y", "task": task, "columns": columns, **more})


NUMBERS, CLASSES = contract("regression"), contract("classification")


def predicted(values, **shares) -> pd.DataFrame:
    shares = {f"probability_{name}": share for name, share in shares.items()}
    return pd.DataFrame({"prediction": values, **shares})


@pytest.mark.parametrize(
    ("values", "mae", "rmse", "r2", "median_ae"),
    [
        ([10, 20, 30], 0, 0, 1, 0),
        ([20, 20, 20], 20 / 3, (200 / 3) ** 0.5, 0, 10),
        ([10, 20, 36], 2, 12**0.5, 0.82, 0),
    ],
)
def test_regression(values, mae, rmse, r2, median_ae):
    expected = {"mae": mae, "rmse": rmse, "r2": r2, "median_ae": median_ae}
    assert scores(NUMBERS, ACTUAL, predicted(values)) == pytest.approx(expected)


class TestTwoClasses:
    ACTUAL = pd.Series(["no", "no", "yes"])
    SHARES: dict = {"no": [0.9, 0.6, 0.5], "yes": [0.1, 0.4, 0.5]}  # noqa: RUF012

    def test_by_hand(self):
        result = scores(CLASSES, self.ACTUAL, predicted(["no", "yes", "yes"], **self.SHARES))
        expected = {
            "balanced_accuracy": 0.75,
            "f1_macro": 2 / 3,
            "roc_auc": 1,
            "average_precision": 1,
            "log_loss": -np.log([0.9, 0.6, 0.5]).mean(),
            "brier": np.square([0.1, 0.4, 0.5]).mean(),
        }
        assert result == pytest.approx(expected)

    def test_without_probabilities(self):
        result = scores(CLASSES, self.ACTUAL, predicted(["no", "yes", "yes"]))
        assert result == pytest.approx({"balanced_accuracy": 0.75, "f1_macro": 2 / 3})
        assert score("roc_auc", CLASSES, self.ACTUAL, predicted(["no"] * 3)) is None

    @pytest.mark.parametrize("labels", [[0, 0, 1], [0.0, 0.0, 1.0], ["0", "0", "1"]])
    def test_the_same_class_whatever_its_type(self, labels):
        rows = predicted([0, 1, 1], **{"0": [0.9, 0.6, 0.5], "1": [0.1, 0.4, 0.5]})
        assert scores(CLASSES, pd.Series(labels), rows)["roc_auc"] == 1

    def test_the_positive_class(self):
        assert positive_class(CLASSES, ["yes", "no"]) == "yes"
        assert positive_class(CLASSES, ["True", "False"]) == "True"
        assert positive_class(CLASSES, ["10", "9"]) == "10"
        assert positive_class(contract("classification", positive=9), ["10", "9"]) == "9"
        assert positive_class(CLASSES, ["a", "b", "c"]) is None

    def test_it_changes_the_average_precision(self):
        rows = predicted(["no"] * 3, no=[0.1, 0.9, 0.8], yes=[0.9, 0.1, 0.2])
        assert score("average_precision", CLASSES, self.ACTUAL, rows) == pytest.approx(0.5)
        other = contract("classification", positive="no")
        assert score("average_precision", other, self.ACTUAL, rows) == pytest.approx(5 / 6)

    def test_one_class_leaves_metrics_undefined(self):
        result = scores(CLASSES, self.ACTUAL[:2], predicted(["no", "no"], no=[1, 1], yes=[0, 0]))
        assert "roc_auc" not in result and result["brier"] == 0
        assert scores(CLASSES, self.ACTUAL[:0], predicted([])) == {}


def test_more_classes_and_one_that_the_model_does_not_know():
    rows = predicted(["a", "b", "a"], a=[0.8, 0.1, 0.3], b=[0.1, 0.8, 0.3], c=[0.1, 0.1, 0.4])
    known = scores(CLASSES, pd.Series(["a", "b", "a"]), rows)
    assert known["roc_auc"] == known["balanced_accuracy"] == 1
    unknown = scores(CLASSES, pd.Series(["a", "b", "d"]), rows)
    assert unknown["roc_auc"] == pytest.approx((1 + 1 + 0.5) / 3)  # of d the model says nothing
    assert unknown["log_loss"] > 10 and not any(map(np.isnan, unknown.values()))


def test_losses():
    assert (loss("mae", 2.0), loss("roc_auc", 0.9)) == (2.0, pytest.approx(0.1))
    assert {"mae", "r2", "median_ae", "f1_macro", "brier"} <= DIRECTIONS.keys()
    with pytest.raises(UserError, match=r"deployment.metric: 'mae' is not .* classification. Use"):
        check_metric("mae", CLASSES)


class TestIntervals:
    @pytest.mark.parametrize("rows", [200, 50_000])
    def test_as_wide_as_theory_has_it(self, rows):
        generator = np.random.default_rng(1)
        actual = pd.Series(generator.normal(size=rows))
        predictions = predicted(actual + generator.normal(size=rows))
        error = (predictions["prediction"] - actual).abs().sem()
        low, high = interval("mae", NUMBERS, actual, predictions)
        assert low < score("mae", NUMBERS, actual, predictions) < high
        assert (high - low) == pytest.approx(2 * 1.96 * error, rel=0.25)
        assert interval("mae", NUMBERS, actual, predictions) == (low, high)
        assert standard_error("mae", NUMBERS, actual, predictions) == pytest.approx(error)
        of_rmse = standard_error("rmse", NUMBERS, actual, predictions)
        assert of_rmse == pytest.approx((2 * rows) ** -0.5, rel=0.25)

    def test_of_classes(self):
        shares = {"no": [0.9, 0.6, 0.7, 0.2] * 9, "yes": [0.1, 0.4, 0.3, 0.8] * 9}
        actual, rows = pd.Series(["no", "no", "yes", "yes"] * 9), predicted(["no"] * 36, **shares)
        low, high = interval("roc_auc", CLASSES, actual, rows)
        assert 0.5 < low < 0.75 < high <= 1

    def test_undefined(self):
        assert interval("roc_auc", CLASSES, pd.Series(["a"] * 3), predicted(["a"] * 3)) is None
        assert np.isnan(standard_error("mae", NUMBERS, ACTUAL[:1], predicted([1.0])))


@pytest.mark.parametrize("index", [[0, 1, 2], [7, 3, 5]])
def test_scores_by(index):
    frame = pd.DataFrame({"class": ["van", "car", "car"]}, index=index)
    table = scores_by(NUMBERS, frame, ACTUAL, predicted([11, 17, 31]), "class")
    assert table.to_dict("list") == {
        "class": ["car", "van"],
        "n": [2, 1],
        "mae": [2, 1],
        "rmse": [pytest.approx(5**0.5), 1],
        "bias": [-1, 1],
    }


@pytest.mark.parametrize("nulls", [[None, None], [np.nan, np.nan]])
def test_scores_by_keeps_nulls(nulls):
    frame = pd.DataFrame({"class": ["van", *nulls]})
    table = scores_by(NUMBERS, frame, ACTUAL, predicted(ACTUAL), "class")
    assert table["n"].tolist() == [2, 1]
    table = scores_by(CLASSES, frame, pd.Series([1, 1, 2]), predicted(["1", "1", "1"]), "class")
    assert table["n"].tolist() == [2, 1] and table["accuracy"].tolist() == [0.5, 1]
    assert table["f1_macro"].tolist() == [pytest.approx(1 / 3), 1]


def test_scores_by_an_unknown_column():
    with pytest.raises(UserError, match=r"Cannot score by 'q'. Use one of the columns \['x'\]"):
        scores_by(NUMBERS, pd.DataFrame({"x": ACTUAL}), ACTUAL, predicted(ACTUAL), "q")


def test_baseline():
    guess = baseline(NUMBERS, ACTUAL, pd.Index([4, 5]))
    assert guess["prediction"].to_dict() == {4: 20.0, 5: 20.0}
    guess = baseline(CLASSES, pd.Series([1, 2, 2]), pd.Index([4]))
    assert guess.loc[4].to_dict() == {
        "prediction": "2",
        "probability_1": pytest.approx(1 / 3),
        "probability_2": pytest.approx(2 / 3),
    }
    assert score("roc_auc", CLASSES, pd.Series([1, 2]), pd.concat([guess, guess])) == 0.5


def test_real_data():
    cars = pd.read_csv(DATA / "epa_fuel_economy_2012.csv")
    mean = baseline(NUMBERS, cars["comb_mpg"], cars.index)
    assert score("r2", NUMBERS, cars["comb_mpg"], mean) == pytest.approx(0)
    table = scores_by(NUMBERS, cars, cars["comb_mpg"], mean, "class")
    assert table["n"].sum() == len(cars)
    assert (table["n"] * table["bias"]).sum() == pytest.approx(0, abs=1e-6)
