import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _utils.errors import UserError
from _utils.tabular import from_json, tables
from _utils.tabular.convert import to_parquet
from _utils.tabular.tables import open_table, read_table


def converted(folder: Path, name: str, content: str | bytes) -> pa.Table:
    source, target = folder / name, folder / "out.parquet"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = to_parquet(source, target)
    table = pq.read_table(target)
    assert rows == table.num_rows
    return table


@pytest.mark.parametrize(
    ("fields", "kind", "values"),
    [
        (["1", "-20", ""], "int64", [1, -20, None]),
        (["1", ".5", "-2e3", ""], "double", [1.0, 0.5, -2000.0, None]),
        (["NA", "??", "null", ""], "string", ["NA", "??", "null", None]),
        (["1", "nan"], "string", ["1", "nan"]),
        (["00123", "456"], "string", ["00123", "456"]),
        (["9223372036854775808", "1"], "string", ["9223372036854775808", "1"]),
        (["9007199254740993", "0.5"], "string", ["9007199254740993", "0.5"]),
        (["1e999", "1"], "string", ["1e999", "1"]),
        (["true", "false"], "string", ["true", "false"]),
        (["2012-05-06", "2012-05-07"], "string", ["2012-05-06", "2012-05-07"]),
    ],
)
def test_a_csv_column_gets_the_narrowest_type_that_loses_nothing(tmp_path, fields, kind, values):
    column = converted(tmp_path, "x.csv", "a,b\n" + "".join(f"{f},z\n" for f in fields))["a"]
    assert (str(column.type), column.to_pylist()) == (kind, values)


@pytest.mark.parametrize(("last", "kind"), [("0.5", "double"), ("x", "string")])
def test_a_type_may_change_in_the_last_row(tmp_path, last, kind):
    table = converted(tmp_path, "x.csv", "a\n" + "1234567\n" * 150_000 + last)
    assert str(table["a"].type) == kind
    assert str(table["a"][-1].as_py()) == last


def test_a_column_may_be_empty_for_long(tmp_path):
    table = converted(tmp_path, "x.csv", "a,b\n" + ",zzzzzz\n" * 150_000 + "1,z\n")
    assert str(table["a"].type) == "int64"


def test_batches_of_a_csv_are_gathered_into_large_row_groups(tmp_path):
    converted(tmp_path, "x.csv", "a\n" + "1234567\n" * 150_000)
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 1


# The csv module of Python 3.10 cannot write a NUL.
ANYTHING = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(ANYTHING) | st.text('a,"\n\r\té')


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2)))
def test_any_text_survives_the_way_through_a_csv(rows):
    rows = [["not a", "number"], *rows]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "x.csv"), Path(folder, "x.parquet")
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["a", "b"], *rows])
        assert to_parquet(source, target) == len(rows)
        table = pq.read_table(target)
    expected = [[field or None for field in row] for row in rows]
    assert [list(row) for row in zip(*table.to_pydict().values(), strict=True)] == expected


@pytest.mark.parametrize(
    ("content", "expected", "told"),
    [
        (
            "a;b\n1,5;x\n2;y\n",
            {"a": [1.5, 2.0], "b": ["x", "y"]},
            ["semicolons, decimals have a comma"],
        ),
        ("a;b\n1.5;x,y\n2;y\n", {"a": [1.5, 2.0], "b": ["x,y", "y"]}, ["semicolons"]),
        ("a;b\n1.5;0,5\n", {"a": [1.5], "b": ["0,5"]}, ["decimal commas stay text", "(b)"]),
        ("a|b\n1|2\n", {"a": [1], "b": [2]}, ["pipes"]),
        ("a\tb\n1\t2,3\n", {"a": [1], "b": ["2,3"]}, ["tabs"]),
        ("a,b\n1;2;3,x;y;z\n", {"a": ["1;2;3"], "b": ["x;y;z"]}, []),
        ("a\nx;y\nz\n", {"a": ["x;y", "z"]}, []),
    ],
)
def test_the_delimiter_is_found(tmp_path, capsys, content, expected, told):
    assert converted(tmp_path, "x.csv", content).to_pydict() == expected
    printed = capsys.readouterr().out
    assert [part for part in told if part not in printed] == [] and bool(told) == bool(printed)


def test_words_that_keep_numbers_from_being_read_as_such_are_told(tmp_path, capsys):
    converted(tmp_path, "x.csv", "a,b,c,d,e\n1,NA,x,0.5,1\nNA,2.5,NA,1,car\n")
    (line,) = capsys.readouterr().out.splitlines()
    assert "2 columns (a, b) are numbers but for 'NA'" in line and "cleaning.unknown_codes" in line


IDS = [2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63 + 1, 10**25 + 1]


@pytest.mark.parametrize("number", IDS)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_whole_numbers_are_exact_from_the_source_to_the_frame(tmp_path, suffix, number):
    values = [number, number - 1, None]
    source = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        kind = pa.int64() if number < 2**63 else pa.uint64() if number < 2**64 else pa.string()
        values = [value and str(value) for value in values] if kind == pa.string() else values
        pq.write_table(pa.table({"id": pa.array(values, kind), "x": "abc"}), source)
    elif suffix == "csv":
        rows = ["" if value is None else value for value in values]
        source.write_text("id,x\n" + "".join(f"{row},x\n" for row in rows))
    else:
        source.write_text("".join(json.dumps({"id": value}) + "\n" for value in values))
    to_parquet(source, tmp_path / "out.parquet")
    column = read_table(tmp_path / "out.parquet")["id"]
    expected = ["" if value is None else str(value) for value in values]
    assert column.astype("object").where(column.notna(), "").astype("str").tolist() == expected
    assert not column.duplicated().any()


def test_a_json_number_beyond_int64_may_come_late(tmp_path, monkeypatch):
    monkeypatch.setattr(from_json, "JSON_CHUNK_BYTES", 10)
    lines = '{"id": 1, "x": 9007199254740993}\n{"id": 9223372036854775808, "x": 0.50}\n{}\n'
    assert converted(tmp_path, "x.jsonl", lines).to_pydict() == {
        "id": ["1", "9223372036854775808", None],
        "x": ["9007199254740993", "0.50", None],
    }


class TestReading:
    def read(self, folder, column: pa.Array):
        pq.write_table(pa.table({"x": column}), folder / "x.parquet")
        return read_table(folder / "x.parquet")["x"]

    @pytest.mark.parametrize("kind", ["int8", "int64", "uint64", "category"])
    def test_whole_numbers_stay_whole_beside_nulls(self, tmp_path, kind):
        is_category = kind == "category"
        column = pa.array([1, 2, None], "int64" if is_category else kind)
        read = self.read(tmp_path, column.dictionary_encode() if is_category else column)
        assert read.astype("object").map(str, na_action="ignore").tolist()[:2] == ["1", "2"]
        assert read.isna().tolist() == [False, False, True]
        assert self.read(tmp_path, column[:2]).tolist() == [1, 2]

    @pytest.mark.parametrize(
        "column",
        [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"a"]), pa.array([b"a"], pa.binary(1))],
        ids=lambda column: str(column.type),
    )
    def test_a_column_of_lists_and_the_like_is_told(self, tmp_path, column):
        with pytest.raises(UserError, match=r"Column 'x' of x.parquet holds values of the type"):
            self.read(tmp_path, column)
        assert read_table(tmp_path / "x.parquet", ["y"]).empty


def test_tabs_part_the_fields_of_a_tsv(tmp_path):
    assert converted(tmp_path, "x.TSV", "a\tb\n1\tx,y\n").to_pydict() == {"a": [1], "b": ["x,y"]}


def test_json_lines_keep_their_own_types(tmp_path, monkeypatch):
    monkeypatch.setattr(from_json, "JSON_CHUNK_BYTES", 10)  # so that every line is a chunk
    lines = (
        '{"n": 1, "day": "2012-05-06", "deep": [{"day": "2012-05-06"}], "yes": true}\n\n'
        '{"n": 2.5, "day": null, "deep": [], "late": "x"}\n'
    )
    table = converted(tmp_path, "x.jsonl", lines)
    assert table.to_pydict() == {
        "n": [1.0, 2.5],
        "day": ["2012-05-06", None],
        "deep": [[{"day": "2012-05-06"}], []],
        "yes": [True, None],
        "late": [None, "x"],
    }


def test_a_parquet_file_is_copied_as_it_is(tmp_path):
    source, target = tmp_path / "x.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), source, compression="gzip")
    assert to_parquet(source, target) == 2
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", "a,b\n" + "1,x\n" * 300_000), ("x.ndjson", '{"a": 1, "b": "x"}\n' * 50_000)],
)
def test_the_same_input_gives_the_same_bytes(tmp_path, name, content):
    outcomes = set()
    for _ in range(2):
        converted(tmp_path, name, content)
        outcomes.add((tmp_path / "out.parquet").read_bytes())
    assert len(outcomes) == 1


LONG = "1,2\n" * 300_000  # more than one block


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.xls", "a", ["unknown file type", ".csv, .tsv, .jsonl, .ndjson, .json, .parquet"]),
        ("x", "\0a", ["unknown file type"]),
        ("x.csv", "", ["no rows"]),
        ("x.csv", "a,b\n", ["no rows"]),
        ("x.csv", "a,b\n1,2\n1,2,3\n", ["row 3 has 3 fields", "has 2", "1,2,3"]),
        ("x.csv", f"a,b\n{LONG}1\n{LONG}", ["row 300002 has 1 fields", "has 2"]),
        ("x.csv", 'a,b\n1,"2\n1,2\n', ["never closed"]),
        ("x.csv", 'a,b\n1,"2\n' + 3 * LONG, ["never closed"]),
        ("x.csv", "a,b,a\n1,2,3\n", ["more than once", "['a']"]),
        ("x.jsonl", "\n", ["no rows"]),
        ("x.jsonl", "{}\n", ["no rows"]),
        ("x.jsonl", '{"a": "é"}\n'.encode("latin-1"), ["not UTF-8"]),
        ("x.jsonl", '{"a": 1}\n{"a": 2\n', ["row 2", "Missing a comma"]),
        ("x.jsonl", '{"a": 1}\n' * 20 + "[1]", ["row 21", "array"]),
        ("x.jsonl", '{"a": 1}\n{"a": "x"}\n', ["row 2", "changed from number to string"]),
        ("x.parquet", "PAR1 is not all it takes", ["not a Parquet file, or it is incomplete"]),
    ],
    ids=lambda value: value[:20] if isinstance(value, str | bytes) else value[0],
)
def test_an_unsound_table_is_refused_and_leaves_nothing(tmp_path, monkeypatch, name, content, told):
    monkeypatch.setattr(from_json, "JSON_CHUNK_BYTES", 50)
    with pytest.raises(UserError) as refusal:
        converted(tmp_path, name, content)
    message = str(refusal.value)
    assert message.startswith(str(tmp_path / name))
    assert [part for part in told if part not in message] == []
    assert len(message.splitlines()) <= 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    pq.write_table(pa.table({"a": []}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="no rows"):
        to_parquet(tmp_path / "x.parquet", tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


MEASURE = """
import sys
from pathlib import Path
from _utils.tabular.convert import to_parquet

def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

before = kilobytes("VmRSS")
to_parquet(Path(sys.argv[1]), Path(sys.argv[2]))
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in use from /proc")
def test_memory_stays_bounded_however_large_the_csv(tmp_path):
    block = "".join(f"{n},{n / 7},{n * 7919 % 10**9:x} some text\n" for n in range(60_000))
    source = tmp_path / "x.csv"
    with source.open("w") as file:
        file.write("a,b,c\n")
        file.writelines([block] * (200_000_000 // len(block)))
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, source, tmp_path / "x.parquet"],
        cwd=Path(tables.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) / 1024 < 250


def test_what_was_read_of_a_file_does_not_stay_in_memory(tmp_path):
    path, groups = tmp_path / "x.parquet", 20
    random = Random(1)
    noise = pa.table({"x": [random.random() for _ in range(groups * 10_000)]})
    pq.write_table(noise, path, row_group_size=10_000)
    before = pa.total_allocated_bytes()
    with open_table(path) as file:
        used = [pa.total_allocated_bytes() - before for _ in file.iter_batches(10_000)]
    assert max(used) < path.stat().st_size / 2
