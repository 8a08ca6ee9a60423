import pandas as pd
import pytest

from _utils.example.drift import CATEGORY, NUMBER, TEXT, compare
from _utils.example.monitoring import (
    errors_before_and_now,
    figures_of,
    kinds_of,
    labelled_rows,
    metrics_of,
)

TRAIN = pd.DataFrame({"no_gears": [4.0, 5.0], "comb_mpg": [30.0, 20.0]})
NOBODY = pd.Series(dtype="object")


class Model:
    """Predicts 10 times the gears."""

    feature_names_in_ = ("no_gears",)

    def predict(self, rows):
        return rows["no_gears"] * 10


def test_a_label_counts_only_if_the_model_has_not_seen_it():
    batch = pd.DataFrame({"no_gears": [4.0, 6.0, 7.0], "comb_mpg": [30.0, 25.0, None]})
    unseen, seen = labelled_rows(batch.assign(prediction=1.0), TRAIN)
    assert (unseen.to_dict("list"), seen) == ({"no_gears": [6.0], "comb_mpg": [25.0]}, 1)


def test_without_labels_there_is_no_row():
    unseen, seen = labelled_rows(pd.DataFrame({"no_gears": [4.0]}), TRAIN)
    assert (len(unseen), seen) == (0, 0) and "comb_mpg" in unseen
    assert errors_before_and_now(Model(), TRAIN, unseen, pd.Series(dtype="float64")) is None


def test_two_models_are_compared_on_rows_that_neither_has_seen():
    unseen = pd.DataFrame({"no_gears": [4.0, 6.0], "comb_mpg": [30.0, 50.0]})
    errors = errors_before_and_now(Model(), TRAIN, unseen, pd.Series([0.0, 49.0]))
    assert errors == (10, 1, 1)


def test_a_column_that_is_no_feature_today_is_compared_by_its_type():
    class Earlier:
        feature_names_in_ = ("carline", "height", "color")

    train = pd.DataFrame({"carline": ["Golf"], "height": [1.5], "color": ["red"]})
    assert kinds_of(Earlier(), train) == {"carline": TEXT, "height": NUMBER, "color": CATEGORY}


@pytest.mark.parametrize("reasons", [NOBODY, pd.Series(["x", "y"], index=["performance", "a (b)"])])
def test_metrics_have_names_that_mlflow_takes_and_no_nan(reasons):
    frame = pd.DataFrame({"a (b)": ["x"] * 9})
    table = compare(frame, frame, {"a (b)": CATEGORY})
    metrics = metrics_of(table, reasons, {"mae": 2.0, "mae_error": float("nan")}, 9)
    alarm = int(len(reasons) > 0)
    of_column = {"psi.a _b_": 0, "missing.a _b_": 0, "unseen.a _b_": 0}
    whole = {"alarm": alarm, "drifted_columns": alarm, "max_psi": 0, "mae": 2.0, "rows": 9}
    assert metrics == whole | of_column
    titles = [*figures_of(table, reasons, frame, frame, frame, 0.25)]
    assert titles == ["PSI by column", "Values of a (b)"][: 1 + alarm]
