import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from _utils.errors import UserError
from _utils.tabular.appending import append, check_labels


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": [1, 2]}, {"a": [3]}, {"a": [1, 2, 3]}),
        ({"a": [1, None]}, {"a": [0.5]}, {"a": [1.0, None, 0.5]}),
        ({"a": [1]}, {"a": ["x"]}, {"a": ["1", "x"]}),
        ({"a": ["x"]}, {"a": [None]}, {"a": ["x", None]}),
        ({"a": [1], "b": ["x"]}, {"b": ["y"], "c": [2]}, None),
    ],
)
def test_the_old_rows_come_first_and_the_wider_type_is_taken(tmp_path, old, new, expected):
    for name, columns in [("old", old), ("new", new)]:
        pq.write_table(pa.table(columns), tmp_path / name)
    assert append(tmp_path / "new", tmp_path / "old", tmp_path / "both") == (
        len(next(iter(old.values()))) + len(next(iter(new.values())))
    )
    both = pq.read_table(tmp_path / "both").to_pydict()
    assert both == (expected or {"a": [1, None], "b": ["x", "y"], "c": [None, 2]})


LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (pa.array([LARGE, None]), pa.array([0.5]), [str(LARGE), None, "0.5"]),
        (pa.array([LARGE, None]), pa.array([1], pa.uint64()), [LARGE, None, 1]),
        (pa.array([LARGE]), pa.array([2**64 - 1], pa.uint64()), [LARGE, 2**64 - 1]),
        (pa.array([-1]), pa.array([2**64 - 1], pa.uint64()), ["-1", str(2**64 - 1)]),
        (pa.array([LARGE, None]).dictionary_encode(), pa.array([1]), [LARGE, None, 1]),
        (pa.array(["a", None]).dictionary_encode(), pa.array(["b"]), ["a", None, "b"]),
    ],
)
def test_whole_numbers_stay_exact(tmp_path, old, new, expected):
    for name, column in [("old", old), ("new", new)]:
        pq.write_table(pa.table({"a": column}), tmp_path / name)
    append(tmp_path / "new", tmp_path / "old", tmp_path / "both")
    assert pq.read_table(tmp_path / "both")["a"].to_pylist() == expected


def test_a_column_without_a_common_type_is_told(tmp_path):
    pq.write_table(pa.table({"a": [[1]]}), tmp_path / "old")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "new")
    with pytest.raises(UserError, match="Column 'a' has the type list"):
        append(tmp_path / "new", tmp_path / "old", tmp_path / "both")


def test_a_date_and_a_text(tmp_path):
    pd.DataFrame({"d": pd.to_datetime(["2012-05-06"])}).to_parquet(tmp_path / "old")
    pd.DataFrame({"d": ["2021-01-02"]}).to_parquet(tmp_path / "new")
    append(tmp_path / "new", tmp_path / "old", tmp_path / "both")
    assert pd.read_parquet(tmp_path / "both")["d"].str[:10].tolist() == ["2012-05-06", "2021-01-02"]


@pytest.mark.parametrize("columns", [{"x": [1]}, {"x": [1], "y": [None]}])
def test_new_data_without_labels_teach_nothing(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "new")
    with pytest.raises(UserError, match=r"no 'y' in any row, .* Add the labels to their file"):
        check_labels(tmp_path / "new", "y")
    pq.write_table(pa.table(columns | {"y": ["a"]}), tmp_path / "new")
    check_labels(tmp_path / "new", "y")
