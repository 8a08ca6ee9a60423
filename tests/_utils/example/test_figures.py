import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from _utils.example.figures import importance_figure, predicted_against_actual, residual_figure

DATA = Path(__file__).parents[3] / "resources" / "data"
ACTUAL, PREDICTED = pd.Series([10.0, 20.0, 30.0]), pd.Series([11.0, 19.0, 33.0])


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
    assert plt.get_fignums() == []  # there is no state that all figures share
    assert drawn == [[[10, 11], [20, 19], [30, 33]], [[11, 1], [19, -1], [33, 3]]]


def test_real_data():
    cars = pd.read_csv(DATA / "epa_fuel_economy_2021.csv")
    picture = io.BytesIO()
    figure = predicted_against_actual(cars["comb_mpg"], cars["hwy_mpg"].to_numpy())
    figure.savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")
