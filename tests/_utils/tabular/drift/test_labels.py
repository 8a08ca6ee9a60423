import pandas as pd
import pytest

from _utils.errors import UserError
from _utils.tabular.contract import Contract
from _utils.tabular.drift.labels import add_labels, join_labels
from _utils.tabular.tables import read_table

COLUMNS = {
    "id": {"kind": "id"},
    "part": {"kind": "id"},
    "x": {"kind": "number"},
    "y": {"kind": "number"},
}
CONTRACT = Contract.model_validate({"target": "y", "task": "regression", "columns": COLUMNS})
CLASSES = Contract.model_validate(
    {
        "target": "y",
        "task": "classification",
        "columns": {**COLUMNS, "y": {"kind": "category"}},
    }
)
BATCH = pd.DataFrame({"id": ["1", "2", None], "x": [0.1, 0.2, 0.3]}, index=[5, 6, 7])


def test_labels_are_joined_as_text():
    labels = pd.DataFrame({"id": [3.0, 2.0, None], "y": ["7", "5", "6"], "x": [9, 9, 9]})
    rows, found = join_labels(BATCH, labels, CONTRACT)
    assert rows["y"].fillna(-1).to_dict() == {5: -1, 6: 5.0, 7: -1} and found == 1
    assert rows["x"].equals(BATCH["x"])


def test_classes_are_texts():
    labels = pd.DataFrame({"id": [1, 2], "y": [True, None]})
    rows, found = join_labels(BATCH, labels, CLASSES)
    assert rows["y"].tolist()[0] == "True" and rows["y"].isna().sum() == 2 and found == 1


def test_a_label_of_the_rows_stays_where_the_table_has_none():
    labels = pd.DataFrame({"id": ["1"], "y": [9.0]})
    rows, found = join_labels(BATCH.assign(y=[1.0, 2.0, 3.0]), labels, CONTRACT)
    assert rows["y"].tolist() == [9.0, 2.0, 3.0] and found == 1


def test_all_ids_that_both_have_tell_rows_apart():
    batch = BATCH.assign(part=["a", "b", "c"])
    labels = pd.DataFrame({"id": [1, 1], "part": ["a", "b"], "y": [1.0, 2.0]})
    rows, found = join_labels(batch, labels, CONTRACT)
    assert rows["y"].fillna(-1).tolist() == [1.0, -1, -1] and found == 1


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ({"id": [1], "label": [1]}, r"lack the target 'y'; their columns are .* Rename"),
        ({"key": [1], "y": [1]}, "no id in common: .* Add an id to both"),
        ({"id": [1, "1", 2], "y": [1, 2, 3]}, r"have '1' more than once in \['id'\] \(1 such"),
    ],
)
def test_labels_that_cannot_be_joined(labels, fault):
    with pytest.raises(UserError, match=fault):
        join_labels(BATCH, pd.DataFrame(labels), CONTRACT)


@pytest.mark.parametrize(
    ("old", "labels", "expected", "dtype"),
    [
        (None, [1, 0], [1, 0, None], "Int64"),
        (None, [True, False], [True, False, None], "boolean"),
        (None, ["yes", "no"], ["yes", "no", None], "str"),
        ([5, 6, 7], [1, 0], [1, 0, 7], "int64"),
        ([None, None, 7], [1, 0], [1, 0, 7], "int64"),
        ([None, 6, None], [1, None], [1, 6, None], "Int64"),
        (["a", "b", "c"], [1, 0], ["1", "0", "c"], "str"),
    ],
)
def test_labels_to_train_with_keep_their_type(tmp_path, old, labels, expected, dtype):
    rows, late = tmp_path / "rows.parquet", tmp_path / "late.parquet"
    batch = BATCH if old is None else BATCH.assign(y=pd.Series(old, BATCH.index).convert_dtypes())
    batch.to_parquet(rows)
    pd.DataFrame({"id": [1, 2], "y": labels}).convert_dtypes().to_parquet(late)
    assert add_labels(rows, late, CLASSES) == len(pd.Series(labels).dropna())
    found = read_table(rows)["y"]
    assert found.dtype == dtype
    assert found.astype("object").where(found.notna(), None).tolist() == expected
