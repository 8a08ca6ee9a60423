"""Convert CSV and TSV files to Parquet: detect the delimiter, the decimal mark and the types."""

import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from csv import Error, reader
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from _utils.errors import UserError
from _utils.tabular.tables import (
    DECIMAL,
    INTEGER,
    TEXT,
    narrowest,
    needs_of,
    open_text,
    refuse_duplicates,
    write,
)

# Arrow would also read 00123 and 0x1F, which are codes, and nan as numbers.
NUMBER = r"^-?(0|[1-9]\d{0,18})?([.,]\d*)?([eE][+-]?\d+)?$"
WHOLE = r"^-?\d+$"

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLE_BYTES, SAMPLE_ROWS = 100_000, 20
# Words that mean null in a column of numbers, and how many of them such a column may have
NULL_WORD = re.compile(r"\W+|#?n/?a|nan|null|none|nil|missing|unknown|[-+]?inf(inity)?", re.I)
MOST_WORDS = 5
OPEN_QUOTE = 'a quote (") is never closed, or a field is longer than 1 MB. Close the quote.'


def csv_to_parquet(source: Path, target: Path) -> int:
    """Convert a CSV or TSV file to Parquet; returns the number of rows."""
    delimiter = _delimiter(source)
    marks = ".," if delimiter == ";" else "."  # decimal points; with semicolons also commas
    texts, needs = _survey(source, delimiter, marks)
    kinds = {mark: {name: narrowest(needs[mark][name]) for name in texts} for mark in marks}
    mark = "." if DECIMAL in kinds["."].values() else marks[-1]
    types = {name: TEXT if texts[name] else kinds[mark][name] for name in texts}
    if delimiter != _default_delimiter(source):
        comma = ", decimals have a comma" if mark == "," and DECIMAL in types.values() else ""
        print(f"{source.name}: fields are separated by {DELIMITERS[delimiter]}{comma}.")
    commas = [name for name in texts if kinds["."][name] == TEXT != kinds[marks[-1]][name]]
    if commas and mark == ".":
        cure = "Other columns have decimal points: use one style in the whole file."
        print(f"{source.name}: numbers with decimal commas stay text in {_shown(commas)}. {cure}")
    words = {name: texts[name] for name in texts if needs["."][name] and texts[name]}
    words = {name: each for name, each in words.items() if all(map(NULL_WORD.fullmatch, each))}
    if words:
        cure = "If these words mean null, add them to cleaning.unknown_codes in config.yaml."
        reason = f"because of {sorted(set().union(*words.values()))}"
        print(f"{source.name}: numbers stay text in {_shown(words)} {reason}. {cure}")
    return write(_read_csv(source, delimiter, types, mark), pa.schema(types), target)


def _survey(
    source: Path, delimiter: str, marks: str
) -> tuple[dict[str, set[str]], dict[str, dict[str, set[str]]]]:
    """Read the whole file, because its last row can change the type of a column.

    Returns:
        Texts that are not numbers, by column; and what `narrowest` needs, by decimal mark and
        column.
    """
    texts: dict[str, set[str]] = defaultdict(set)
    needs: dict[str, dict[str, set[str]]] = {mark: defaultdict(set) for mark in marks}
    for batch in _read_csv(source, delimiter):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if len(texts[name]) > MOST_WORDS:
                continue
            is_number = pc.match_substring_regex(column, NUMBER)
            not_numbers = column.filter(pc.invert(is_number)).unique()
            texts[name].update(not_numbers[: MOST_WORDS + 1].to_pylist())
            for mark in marks:
                needs[mark][name] |= _needs_of_texts(column.filter(is_number), mark)
    if texts:
        _refuse_open_quote(source, batch.columns[-1])
    return texts, needs


def _shown(names: Collection[str]) -> str:
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names)} column{'s' * (len(names) > 1)} ({', '.join(islice(names, 5))}{more})"


def _default_delimiter(source: Path) -> str:
    return "\t" if source.suffix.lower() == ".tsv" else ","


def _delimiter(source: Path) -> str:
    """The delimiter of the fields: the file type's default, unless only another fits the rows."""
    default = _default_delimiter(source)
    with source.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    text = io.StringIO(sample.decode("utf-8-sig", "replace"), newline="")

    def fit(delimiter: str) -> tuple[bool, bool, int]:
        text.seek(0)
        try:
            rows = [row for row in islice(reader(text, delimiter=delimiter), SAMPLE_ROWS) if row]
        except Error:
            return False, False, 0
        if len(sample) == SAMPLE_BYTES and len(rows) < SAMPLE_ROWS:
            rows = rows[:-1]  # the sample ends within the last row
        widths = {len(row) for row in rows}
        is_even = len(widths) == 1 and widths != {1}
        return is_even, is_even and delimiter == default, len(rows[0]) if rows else 0

    return max([default, *DELIMITERS], key=fit)


def _read_csv(
    source: Path, delimiter: str, types: dict[str, pa.DataType] | None = None, mark: str = "."
) -> Iterator[pa.RecordBatch]:
    read = csv.ReadOptions(use_threads=False)  # with threads, errors lack the row number
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = csv.ConvertOptions(
        column_types=types,
        default_column_type=TEXT,
        null_values=[""],
        strings_can_be_null=True,
        decimal_point=mark,
    )
    with open_text(source) as file, csv.open_csv(file, read, parse, convert) as batches:
        refuse_duplicates(source, batches.schema.names)
        yield from batches


def _refuse_open_quote(source: Path, last_column: pa.Array) -> None:
    # Arrow lets an open quote run to the end of the file: the last field then contains newlines,
    # but the file does not end with a quote.
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - 100))
        closed = file.read().rstrip().endswith(b'"')
    if not closed and any("\n" in (text or "") for text in last_column[-1:].to_pylist()):
        raise UserError(f"{source}: {OPEN_QUOTE}")


def _needs_of_texts(numbers: pa.Array, mark: str) -> set[str]:
    if mark == ",":  # 1.5 is not a number then
        numbers = pc.replace_substring(pc.replace_substring(numbers, ".", "x"), ",", ".")
    is_whole = pc.match_substring_regex(numbers, WHOLE)
    try:
        decimals = numbers.filter(pc.invert(is_whole)).cast(DECIMAL)
        needs = {"decimal"} if len(decimals) else set()
        if not pc.all(pc.is_finite(decimals), min_count=0).as_py():
            return {"text"}
        return needs | needs_of(numbers.filter(is_whole).cast(INTEGER))
    except pa.ArrowInvalid:
        return {"text"}
