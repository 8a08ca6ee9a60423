import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from _utils.example.figures import importance_figure, predicted_against_actual, residual_figure

DATA = Path(__file__).parents[3] / "resources" / "data"
ACTUAL, PREDICTED = pd.Series([10.0, 20.0, 30.0]), pd.Series([11.0, 19.0, 33.0])


@pytest.mark.parametrize(
    ("figure", "labels"),
    [
        (
            importance_figure(pd.Series({"a": 0.7, "b": 0.3})),
            ["Feature importance (share of the total)", ""],
        ),
        (predicted_against_actual(ACTUAL, PREDICTED), ["Actual (mpg)", "Predicted (mpg)"]),
        (residual_figure(ACTUAL, PREDICTED), ["Predicted (mpg)", "Predicted minus actual (mpg)"]),
    ],
)
def test_labels_and_no_global_state(figure, labels):
    axes = figure.axes[0]
    assert [axes.get_xlabel(), axes.get_ylabel()] == labels
    assert axes.get_title() or figure.get_suptitle()
    assert plt.get_fignums() == []


def test_importance_is_drawn_from_the_top():
    axes = importance_figure(pd.Series({"a": 0.7, "b": 0.3})).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.3]
    assert axes.yaxis_inverted()


def test_points():
    against, errors = (
        predicted_against_actual(ACTUAL, PREDICTED),
        residual_figure(ACTUAL, PREDICTED),
    )
    drawn = [figure.axes[0].collections[0].get_offsets().tolist() for figure in (against, errors)]
    assert drawn == [[[10, 11], [20, 19], [30, 33]], [[11, 1], [19, -1], [33, 3]]]


def test_real_data():
    cars = pd.read_csv(DATA / "epa_fuel_economy_2021.csv")
    picture = io.BytesIO()
    figure = predicted_against_actual(cars["comb_mpg"], cars["hwy_mpg"].to_numpy())
    figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
