"""Formats that are brought to CSV, JSON lines or Parquet first: see test_tables.py for these."""

import csv
import datetime as dt
import gzip
import io
import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from _utils.errors import UserError
from _utils.tabular import from_json, unpack
from _utils.tabular.convert import recognise, to_parquet


def converted(source: Path, content: bytes | str | None = None, **options) -> dict[str, list]:
    if content is not None:
        source.write_bytes(content.encode() if isinstance(content, str) else content)
    target = source.with_name("out.parquet")
    rows = to_parquet(source, target, options)
    table = pq.read_table(target)
    assert rows == table.num_rows
    return table.to_pydict()


def refusal(source: Path, content: bytes | str | None = None, **options) -> str:
    with pytest.raises(UserError) as caught:
        converted(source, content, **options)
    assert [path.name for path in source.parent.iterdir()] == [source.name]
    assert "plain_" not in str(caught.value)
    return str(caught.value)


def zipped(**contents: str) -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(re.sub("__(?=[a-z])", ".", name), content)
    return packed.getvalue()


def workbook(path: Path, *rows: list) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


class TestPacked:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("x.csv.gz", gzip.compress(b"a,b\n1,x\n", mtime=0)),
            ("x.CSV.GZ", gzip.compress(b"a,b\n1,x\n", mtime=0)),
            ("x.csv.gz", b"a,b\n1,x\n"),
            ("x.json.gz", gzip.compress(b'[{"a": 1, "b": "x"}]', mtime=0)),
            ("x.zip", zipped(y__csv="a,b\n1,x\n")),
            ("download.gz", gzip.compress(b"a;b\n1;x\n", mtime=0)),
            ("x.txt.gz", b'\xef\xbb\xbf{"a": 1, "b": "x"}'),
            ("download", b'[\n{"a": 1, "b": "x"}]'),
            ("x.zip", zipped(**{"in/y__jsonl": '{"a": 1, "b": "x"}', "__MACOSX/in": "", "d/": ""})),
        ],
    )
    def test_one_data_file_is_unpacked(self, tmp_path, name, content):
        assert converted(tmp_path / name, content) == {"a": [1], "b": ["x"]}
        assert {path.name for path in tmp_path.iterdir()} == {name, "out.parquet"}

    def test_parquet_and_excel_are_unpacked_too(self, tmp_path):
        workbook(tmp_path / "x.xlsx", ["a"], [1])
        plain = converted(tmp_path / "x.xlsx")
        parquet = (tmp_path / "out.parquet").read_bytes()
        assert (
            converted(tmp_path / "y.parquet.gz", gzip.compress(parquet, mtime=0))
            == plain
            == {"a": [1]}
        )
        assert (tmp_path / "out.parquet").read_bytes() == parquet
        excel = (tmp_path / "x.xlsx").read_bytes()
        assert converted(tmp_path / "y.xlsx.gz", gzip.compress(excel, mtime=0)) == plain

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("x.zip", zipped(a__csv="a\n1\n", b__csv="a\n1\n"), "holds 2 files (a.csv, b.csv)"),
            ("x.zip", zipped(), "holds no file"),
            ("x.zip", zipped(**{"../a__csv": "a\n1\n"}), "cannot be the name of a file"),
            ("x.zip", zipped(**{"/a__csv": "a\n1\n"}), "cannot be the name of a file"),
            ("x.zip", zipped(a__zip="a"), "holds a.zip: unknown file type"),
            ("x.zip", b"PK", "cannot be unpacked"),
            ("x.csv.gz", gzip.compress(b"a\n1\n" * 1000, mtime=0)[:-9], "cannot be unpacked"),
            ("x.tar.gz", gzip.compress(b"a", mtime=0), "holds x.tar: unknown file type"),
            (
                "x.csv.gz",
                gzip.compress(b"a,a\n1,2\n", mtime=0),
                "x.csv.gz: column names used more than",
            ),
            ("x.csv.gz", gzip.compress(b"a\n", mtime=0), "x.csv.gz: the table has no rows"),
            ("x.csv", b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>", "is a web page and not a table"),
            ("x.parquet", b"<html><body>Not found", "is a web page and not a table"),
        ],
    )
    def test_what_is_not_one_data_file_is_refused(self, tmp_path, name, content, message):
        assert message in refusal(tmp_path / name, content)

    def test_an_encrypted_file_is_refused(self, tmp_path):
        content = bytearray(zipped(a__csv="a\n1\n"))
        content[content.index(b"PK\x01\x02") + 8] |= 1
        assert "is encrypted" in refusal(tmp_path / "x.zip", bytes(content))

    @pytest.mark.parametrize("suffix", ["csv.gz", "zip", "xlsx"])
    def test_a_file_that_would_fill_the_disk_is_refused(self, tmp_path, monkeypatch, suffix):
        monkeypatch.setattr(unpack, "HARMLESS", 10_000)
        text = "a\n" + "0\n" * 2_000_000
        content = (
            gzip.compress(text.encode(), mtime=0) if suffix == "csv.gz" else zipped(y__csv=text)
        )
        assert "200 times its own size" in refusal(tmp_path / f"x.{suffix}", content)


class TestJsonArray:
    @pytest.mark.parametrize("chunk", [1, 7, 1_000_000])
    def test_its_objects_are_read_like_json_lines(self, tmp_path, monkeypatch, chunk):
        rows = [
            {"n": 9007199254740993, "x": "a\n]},{", "deep": [{"day": "2012-05-06"}]},
            {"n": None, "x": "é\u2028", "deep": []},
        ]
        monkeypatch.setattr(from_json, "JSON_CHUNK_BYTES", chunk)
        lines = converted(tmp_path / "x.jsonl", "\n".join(map(json.dumps, rows)))
        for indent in (None, 2):
            text = json.dumps(rows, ensure_ascii=False, indent=indent)
            assert converted(tmp_path / "x.json", f" {text}\r\n") == lines
        assert lines["n"] == [9007199254740993, None] and lines["x"] == ["a\n]},{", "é\u2028"]

    def test_numbers_that_stay_text_are_as_they_are_written(self, tmp_path):
        text = '[{"x": 9007199254740993}, {"x": 0.50}]'
        assert converted(tmp_path / "x.json", text) == {"x": ["9007199254740993", "0.50"]}

    def test_json_lines_may_have_its_suffix(self, tmp_path):
        assert converted(tmp_path / "x.json", '{"a": 1}\n{"a": 2}\n') == {"a": [1, 2]}

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_a_mark_at_the_start_tells_the_encoding(self, tmp_path, encoding):
        assert converted(tmp_path / "x.json", '[{"é": 1}]'.encode(encoding)) == {"é": [1]}
        assert converted(tmp_path / "x.jsonl", '{"é": 1}'.encode(encoding)) == {"é": [1]}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[]", "no rows"),
            ('[{"a": 1}, 2]', "row 2: ,2 is not expected"),
            ('[{"a": 1} {"a": 1}]', "row 2: { is not expected"),
            ("[,]", "row 1: ,] is not expected"),
            ('[{"a": 1},]', "row 2: ,] is not expected"),
            ('[{"a": 1}, {"a": ]', "row 2: Expecting value"),
            ('[{"a": 1}', "row 2: Expecting value"),
            ('[{"a": 1}] x', "row 2: there is more after the closing ]"),
            ('[{"a": 1}, {"a": "x"}]', "incompatible types"),
            ('[{"a": "é"}]'.encode("latin-1"), "not UTF-8"),
        ],
    )
    def test_what_is_no_list_of_objects_is_refused(self, tmp_path, monkeypatch, text, message):
        monkeypatch.setattr(from_json, "JSON_CHUNK_BYTES", 3)
        told = refusal(tmp_path / "x.json", text)
        assert told.startswith(str(tmp_path / "x.json")) and message in told


class TestExcel:
    def test_cells_keep_their_values(self, tmp_path, capsys):
        day = dt.datetime(2012, 5, 6)
        rows = [
            ["n", "x", "code", "day", "yes", 2012, "mixed", "words"],
            [2**53 - 1, 0.1, "007", day, True, "a\n,", day, 1],
            [],
            [-1, 2, "12", day.replace(hour=7), False, None, True, "#N/A"],
        ]
        assert converted(workbook(tmp_path / "x.xlsx", *rows)) == {
            "n": [2**53 - 1, -1],
            "x": [0.1, 2.0],
            "code": ["007", "12"],
            "day": [day, day.replace(hour=7)],
            "yes": [True, False],
            "2012": ["a\n,", None],
            "mixed": ["2012-05-06", "TRUE"],
            "words": ["1", "#N/A"],
        }
        told = capsys.readouterr().out
        assert (
            told.count("\n") == 1 and "x.xlsx: 1 column (words) is a number but for '#N/A'" in told
        )

    def test_the_first_sheet_is_read(self, tmp_path, capsys):
        book = Workbook()
        book.active.append(["a"])
        book.active.append([1])
        book.create_sheet("Notes").append(["b"])
        book.save(tmp_path / "x.xlsx")
        assert converted(tmp_path / "x.xlsx") == {"a": [1]}
        assert "the first of 2 sheets is read, 'Sheet'" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([["a", None, "c"], [1, 2, 3]], "column B has no name"),
            ([["a", "a"], [1, 2]], "column names used more than once: ['a']"),
            ([["a"], [1], [1, 2]], "row 3 has 2 cells"),
            ([["a"]], "no rows"),
            ([], "no rows"),
        ],
    )
    def test_a_sheet_that_is_no_table_is_refused(self, tmp_path, rows, message):
        told = refusal(workbook(tmp_path / "x.xlsx", *rows))
        assert told.startswith(f"{tmp_path / 'x.xlsx'}: ") and message in told

    def test_what_is_no_excel_file_is_refused(self, tmp_path):
        assert "is not an Excel file" in refusal(tmp_path / "x.xlsx", "a")
        assert "is not an Excel file" in refusal(tmp_path / "x.xlsx", zipped(a__csv="a"))

    def test_the_missing_package_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "openpyxl", None)
        assert "Add it to the conda.yml" in refusal(tmp_path / "x.xlsx", "a")


NAMES = {
    "cp1252": "name,city\nRené,Besançon\nMüller,Köln\nPeña,21 °C\n12 €,m²\n",
    "cp1250": "imię,miasto\nŁukasz,Łódź\nMałgorzata,Kraków\nZażółć,Gdańsk\n",
    "cp1251": "имя,город\nИван,Москва\nОльга,Санкт-Петербург\n",  # noqa: RUF001
    "cp932": "名前,都市\n山田太郎,東京都\n鈴木花子,大阪府\n",
    "utf-16": "имя,城市\nИван,北京\n",  # noqa: RUF001
}


class TestEncoding:
    @pytest.mark.parametrize("encoding", NAMES)
    def test_it_is_recognised_and_printed(self, tmp_path, capsys, encoding):
        table = converted(tmp_path / "x.csv", NAMES[encoding].encode(encoding))
        assert capsys.readouterr().out == f"x.csv: read as {encoding}.\n"
        (tmp_path / "x.csv").write_text(NAMES[encoding], "utf-8")
        assert converted(tmp_path / "x.csv") == table
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("text", ["é,b\n1,2\n", "a\n½\n", "¿qué?,l\u2019été,2m²\n1,2,3\n"])
    def test_one_foreign_letter_is_enough(self, tmp_path, text):
        (tmp_path / "x.csv").write_bytes(text.encode("cp1252"))
        assert recognise(tmp_path / "x.csv")["encoding"] == "cp1252"

    def test_a_foreign_letter_may_come_late(self, tmp_path):
        lines = ["a,b\n", *["1,x\n"] * 600_000, "1,é\n"]
        (tmp_path / "x.csv").write_bytes("".join(lines).encode("cp1252"))
        assert recognise(tmp_path / "x.csv")["encoding"] == "cp1252"

    def test_another_one_than_the_option_is_refused(self, tmp_path):
        source = tmp_path / "x.csv"
        text = "é,b\n1,2\n".encode("cp1252")
        assert "data.csv.encoding" in refusal(source, text, encoding="utf-8")
        assert "are not utf-16" in refusal(source, text, encoding="utf-16")
        assert "are not cp1252" in refusal(source, b"a\n\x81\n", encoding="cp1252")

    def test_one_that_is_not_recognised_is_refused(self, tmp_path):
        assert "data.csv.encoding" in refusal(tmp_path / "x.csv", b"a\n\x80\x81\xff\x00\x98\n")


class TestOptions:
    def test_they_are_used_instead_of_what_would_be_recognised(self, tmp_path, capsys):
        text = "a#b\n1,5#\xe9\n"
        options = {"delimiter": "#", "encoding": "latin-1", "decimal": ","}
        found = converted(tmp_path / "x.csv", text.encode("latin-1"), **options)
        assert found == {"a": [1.5], "b": ["é"]}
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("tab", ["\t", "\\t"])
    def test_a_tab_may_be_written_in_two_ways(self, tmp_path, tab):
        assert converted(tmp_path / "x.csv", "a\tb\n1\t2\n", delimiter=tab) == {"a": [1], "b": [2]}

    def test_a_decimal_point_may_be_demanded(self, tmp_path):
        text = "a;b\n1,5;2.5\n"
        assert converted(tmp_path / "x.csv", text, decimal=".") == {"a": ["1,5"], "b": [2.5]}

    def test_they_are_a_mapping(self, tmp_path):
        (tmp_path / "x.csv").write_text("a\n1\n")
        with pytest.raises(UserError, match=r"data\.csv: 5 is not possible"):
            recognise(tmp_path / "x.csv", 5)

    def test_all_faults_are_listed(self, tmp_path):
        told = refusal(
            tmp_path / "x.csv", "a\n1\n", delimiter=";;", encoding="cp9", decimal="x", a=1
        )
        assert len(told.splitlines()) == 4 and "data.csv.a is not an option" in told

    @pytest.mark.parametrize("value", ['"', "\n", "é", 5, "\\", ["a"]])
    def test_some_characters_are_no_delimiters(self, tmp_path, value):
        assert "data.csv.delimiter" in refusal(tmp_path / "x.csv", "a\n1\n", delimiter=value)

    @pytest.mark.parametrize("value", ["hex", 8, ["a"]])
    def test_some_names_are_no_encodings_of_texts(self, tmp_path, value):
        assert "data.csv.encoding" in refusal(tmp_path / "x.csv", "a\n1\n", encoding=value)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a,b\n1,2\n", [",", "utf-8", None, []]),
            ("a;b\n1,5;x\nNA;é\n", [";", "cp1252", ",", ["NA"]]),
            ("a;b\n1.5;?\n2;7\n", [";", "utf-8", ".", ["?"]]),
        ],
    )
    def test_what_is_recognised_can_be_given_as_options(self, tmp_path, text, expected):
        source = tmp_path / "x.csv"
        source.write_bytes(text.encode("cp1252"))
        found = recognise(source)
        assert list(found) == ["delimiter", "encoding", "decimal", "null_words"]
        assert list(found.values()) == expected
        before = converted(source)
        del found["null_words"]
        assert converted(source, **found) == before

    def test_other_files_have_null_words_at_most(self, tmp_path):
        nothing = {"delimiter": None, "encoding": None, "decimal": None}
        excel = workbook(tmp_path / "x.xlsx", ["a"], [1], ["NA"])
        assert recognise(excel) == {**nothing, "null_words": ["NA"]}
        (tmp_path / "x.json").write_text("[]")
        assert recognise(tmp_path / "x.json") == {**nothing, "null_words": []}


# Excel has no other control characters; openpyxl writes _x0041_ for one, and = for a formula
LETTERS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"]) | st.sampled_from("a,;|\"'\n")
)
VALUES = st.tuples(
    LETTERS.filter(lambda text: "_x" not in text and text[:1] != "="),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.floats(-1e300, 1e300),
)
FIRST = ("not a number", None, 0.5)


def csv_text(rows, delimiter: str, decimal: str) -> str:
    lines = io.StringIO(newline="")
    out = csv.writer(lines, delimiter=delimiter)
    out.writerow(["a", "b", "c"])
    for text, whole, real in rows:
        out.writerow([text, whole, "" if real is None else repr(real).replace(".", decimal)])
    return lines.getvalue()


@given(st.lists(VALUES, max_size=5), st.sampled_from(",;\t|#"), st.sampled_from(".,"), st.data())
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_any_values_survive_the_way_through_any_format(rows, delimiter, decimal, data):
    rows = [FIRST, *(row for row in rows if any(row))]  # empty rows of a sheet are left out
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]))
    suffix = data.draw(st.sampled_from(["csv", "csv.gz", "json", "jsonl", "xlsx"]))
    options = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source = Path(folder, f"x.{suffix}")
        if "csv" in suffix:
            options = {"delimiter": delimiter, "encoding": encoding, "decimal": decimal}
            content = csv_text(rows, delimiter, decimal).encode(encoding)
            source.write_bytes(gzip.compress(content, mtime=0) if "gz" in suffix else content)
        elif suffix == "xlsx":
            # As Excel itself, openpyxl writes no more than 16 digits, and large decimals as whole
            # numbers, which are kept exact as text
            rows = [row for row in rows if abs(row[2] or 0) < 1e15]
            rows = [(*row[:2], row[2] and float(f"{row[2]:.15g}")) for row in rows]
            workbook(source, ["a", "b", "c"], *rows)
        else:
            objects = [dict(zip("abc", row, strict=True)) for row in rows]
            lines = "\n".join(map(json.dumps, objects))
            source.write_text(json.dumps(objects, indent=1) if suffix == "json" else lines, "utf-8")
        found, target = converted(source, **options), source.with_name("out.parquet")
        once = target.read_bytes()
        converted(source, **options)
        assert target.read_bytes() == once
    expected = [[text if "json" in suffix else text or None, *others] for text, *others in rows]
    assert [list(row) for row in zip(*found.values(), strict=True)] == expected
