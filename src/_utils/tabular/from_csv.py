"""Convert CSV and TSV files to Parquet: recognise the decimal mark and the types."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from _utils.errors import UserError
from _utils.tabular.dialect import DELIMITERS, Dialect, default_delimiter, delimiter_of
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
NUMBER = r"^-?((0|[1-9]\d{0,18})([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$"
WHOLE = r"^-?\d+$"
# Words that mean null in a column of numbers, and how many of them such a column may have
NULL_WORD = re.compile(
    r"\W+|#?n/?a|nan|null|none|nil|missing|unknown|[-+]?inf(inity)?"
    r"|#(div/0!|name\?|null!|num!|ref!|value!)",  # errors in Excel
    re.IGNORECASE,
)
MOST_WORDS = 5
Types = dict[str, pa.DataType] | None
OPEN_QUOTE = 'a quote (") is never closed, or a field is longer than 1 MB. Close the quote.'


class Survey(NamedTuple):
    """What a CSV file is, after it was read as a whole."""

    dialect: Dialect
    types: dict[str, pa.DataType]
    # By column, the words that keep numbers from being read as such
    null_words: dict[str, set[str]]


def csv_to_parquet(source: Path, target: Path, dialect: Dialect, known: Types = None) -> int:
    """Convert a CSV or TSV file in UTF-8 to Parquet.

    Args:
        source: The file.
        target: The Parquet file to write.
        dialect: How the file is written; what is None is recognised, and printed.
        known: The types of columns that need not be recognised.

    Returns:
        The number of rows.
    """
    found = survey(source, dialect)
    delimiter, decimal = found.dialect.delimiter, found.dialect.decimal
    if delimiter not in (dialect.delimiter, default_delimiter(source)):
        comma = ", decimals have a comma" if decimal == "," else ""
        print(f"{source.name}: fields are separated by {DELIMITERS[delimiter]}{comma}.")
    if found.null_words:
        words = ", ".join(map(repr, sorted(set().union(*found.null_words.values()))))
        cure = "Cleaning makes a word null that is in cleaning.unknown_codes of config.yaml."
        is_one, columns = len(found.null_words) == 1, _shown(found.null_words)
        are, stay = ("is a number", "stays") if is_one else ("are numbers", "stay")
        print(f"{source.name}: {columns} {are} but for {words}, and {stay} text here. {cure}")
    types = found.types | (known or {})
    batches = _read_csv(source, delimiter, types, decimal or ".")
    return write(batches, pa.schema(types), target)


def survey(source: Path, dialect: Dialect) -> Survey:
    """Recognise what is None in the dialect, and the types of the columns.

    The decimal mark stays None if there are no decimals.
    """
    delimiter = dialect.delimiter or delimiter_of(source)
    # With semicolons decimals may have a point or a comma
    marks = dialect.decimal or (".," if delimiter == ";" else ".")
    texts, needs = _texts_and_needs(source, delimiter, marks)
    kinds = {mark: {name: narrowest(needs[mark][name]) for name in texts} for mark in marks}
    mark = marks[0] if DECIMAL in kinds[marks[0]].values() else marks[-1]
    types = {name: TEXT if texts[name] else kinds[mark][name] for name in texts}
    commas = [name for name in texts if kinds[marks[0]][name] == TEXT != kinds[marks[-1]][name]]
    if commas and mark == ".":
        cure = "Other columns have decimal points: use one style in the whole file."
        print(f"{source.name}: numbers with decimal commas stay text in {_shown(commas)}. {cure}")
    words = {name: texts[name] for name in texts if needs[mark][name] and texts[name]}
    words = {name: each for name, each in words.items() if all(map(NULL_WORD.fullmatch, each))}
    decimal = mark if DECIMAL in kinds[mark].values() else dialect.decimal
    return Survey(replace(dialect, delimiter=delimiter, decimal=decimal), types, words)


def _texts_and_needs(
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


def _read_csv(
    source: Path, delimiter: str, types: Types = None, mark: str = "."
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
