import pandas as pd
import pytest

from _utils.errors import UserError
from _utils.tabular.contract import Contract
from _utils.tabular.drift.batch import (
    classes_as_text,
    compare_all,
    figures_of,
    kinds_of,
    labelled_rows,
    metrics_of,
    scores_before_and_now,
)
from _utils.tabular.drift.measures import compare
from _utils.tabular.terms import CATEGORY, NUMBER, TEXT

COLUMNS = {"no_gears": {"kind": "number"}, "name": {"kind": "text"}, "day": {"kind": "date"}}
CONTRACT, CLASSES = (
    Contract.model_validate(
        {"target": "y", "task": task, "columns": {**COLUMNS, "y": {"kind": kind}}}
    )
    for task, kind in [("regression", "number"), ("classification", "category")]
)
TRAIN = pd.DataFrame({"no_gears": [4.0, 5.0], "y": [30.0, 20.0]})
NOBODY = pd.Series(dtype="object")


class Model:
    """Predicts 10 times the gears."""

    feature_names_in_ = ("no_gears",)

    def predict(self, rows):
        return rows["no_gears"] * 10


def predictions(values: list) -> pd.DataFrame:
    return pd.DataFrame({"prediction": values})


def test_dates_are_not_compared():
    assert kinds_of(CONTRACT) == {"no_gears": NUMBER, "name": TEXT}


def test_predicted_classes_are_compared_as_text():
    rows = pd.DataFrame({"no_gears": [4.0] * 50, "name": ["Golf"] * 50, "y": [1] * 50})
    test, batch = rows.assign(prediction=[0, 1] * 25), rows.assign(prediction=["0", "1"] * 25)
    test, batch = classes_as_text(test, CLASSES), classes_as_text(batch, CLASSES)
    table = compare_all(rows, test, batch, CLASSES).set_index("column")
    assert table.loc["prediction", ["kind", "psi", "unseen"]].tolist() == [CATEGORY, 0, 0]
    numbers = compare_all(rows, rows.assign(prediction=1.0), rows.assign(prediction=1.0), CONTRACT)
    assert numbers["kind"].tolist() == [NUMBER, TEXT, NUMBER]


def test_labels_of_other_classes_are_refused():
    batch = pd.DataFrame({"no_gears": [4.0, 6.0], "y": ["True", None], "prediction": ["1", "0"]})
    train = TRAIN.assign(y=["1", "0"])
    with pytest.raises(UserError, match=r"'True' .* no class of the model, whose classes are 0, 1"):
        labelled_rows(batch, train, CLASSES)
    assert labelled_rows(batch.assign(y=["True", "1"]), train, CLASSES)[1] == 0


def test_a_label_counts_only_if_the_model_has_not_seen_it():
    batch = pd.DataFrame({"no_gears": [4.0, 6.0, 7.0], "y": [30.0, 25.0, None]})
    unseen, seen = labelled_rows(batch.assign(prediction=1.0), TRAIN, CONTRACT)
    assert (unseen["y"].to_dict(), seen) == ({1: 25.0}, 1)
    scored = TRAIN.assign(prediction=9.0)  # trained on rows that were scored before
    assert labelled_rows(batch.assign(prediction=1.0), scored, CONTRACT)[1] == 1


def test_a_class_is_the_same_whatever_its_type():
    batch = pd.DataFrame({"no_gears": [4.0, 6.0], "y": ["1", "0"]})
    train = classes_as_text(TRAIN.assign(y=[1, 0]), CLASSES)
    assert labelled_rows(classes_as_text(batch, CLASSES), train, CLASSES)[1] == 1


def test_without_labels_there_is_no_row():
    unseen, seen = labelled_rows(pd.DataFrame({"no_gears": [4.0]}), TRAIN, CONTRACT)
    assert (len(unseen), seen) == (0, 0) and "y" in unseen
    nobody = scores_before_and_now("mae", CONTRACT, Model(), TRAIN, unseen, predictions([]))
    assert nobody is None


def test_two_models_are_compared_on_rows_that_neither_has_seen():
    unseen = pd.DataFrame({"no_gears": [4.0, 6.0], "y": [30.0, 50.0]})
    now = predictions([0.0, 49.0])
    assert scores_before_and_now("mae", CONTRACT, Model(), TRAIN, unseen, now) == (10, 1, 1)
    one_row = unseen.tail(1)
    assert scores_before_and_now("r2", CONTRACT, Model(), TRAIN, one_row, now) is None


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
