from pathlib import Path

import pandas as pd
import pytest

from _utils.example.scores import regression_scores, scores_by

DATA = Path(__file__).parents[3] / "resources" / "data"
ACTUAL = pd.Series([10.0, 20.0, 30.0])


@pytest.mark.parametrize(
    ("predicted", "mae", "rmse", "r2"),
    [
        ([10, 20, 30], 0, 0, 1),
        ([20, 20, 20], 20 / 3, (200 / 3) ** 0.5, 0),
        ([10, 20, 36], 2, 12**0.5, 0.82),
    ],
)
def test_regression_scores(predicted, mae, rmse, r2):
    expected = {"mae": mae, "rmse": rmse, "r2": r2}
    assert regression_scores(ACTUAL, pd.Series(predicted)) == pytest.approx(expected)


@pytest.mark.parametrize("index", [[0, 1, 2], [7, 3, 5]])
def test_scores_by(index):
    frame = pd.DataFrame({"class": ["van", "car", "car"]}, index=index)
    table = scores_by(frame, ACTUAL, [11, 17, 31], "class")
    assert table.to_dict("list") == {
        "class": ["car", "van"],
        "n": [2, 1],
        "mae": [2, 1],
        "rmse": [pytest.approx(5**0.5), 1],
        "bias": [-1, 1],
    }


def test_scores_by_keeps_nulls():
    table = scores_by(pd.DataFrame({"class": ["van", None, None]}), ACTUAL, ACTUAL, "class")
    assert table["n"].tolist() == [2, 1]


def test_real_data():
    cars = pd.read_csv(DATA / "epa_fuel_economy_2012.csv")
    mean = pd.Series(cars["comb_mpg"].mean(), index=cars.index)
    assert regression_scores(cars["comb_mpg"], mean)["r2"] == pytest.approx(0)
    table = scores_by(cars, cars["comb_mpg"], mean, "class")
    assert table["n"].sum() == len(cars)
    assert (table["n"] * table["bias"]).sum() == pytest.approx(0, abs=1e-6)
