"""Tables: from a file of any known type to one Parquet file, and from that to a DataFrame."""

import io
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from csv import Error, reader
from itertools import islice
from json import JSONDecoder
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv, json

from _utils.errors import UserError

INTEGER, UNSIGNED, DECIMAL, TEXT = pa.int64(), pa.uint64(), pa.float64(), pa.string()

# Arrow would also take 00123 and 0x1F, which are codes, and nan.
NUMBER = r"^-?(0|[1-9]\d{0,18})?([.,]\d*)?([eE][+-]?\d+)?$"
WHOLE = r"^-?\d+$"
EXACT = 2**53  # up to this a decimal (float64) holds every whole number
# Whole numbers in JSON lines that may be beyond; where Arrow finds them beside decimals, it rounds
LONG = re.compile(rb"[:\s]-?\d{16,}(?=[\s,}])")
NULLABLE = {
    pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name)
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
}

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLE_BYTES, SAMPLE_ROWS = 100_000, 20
# What means null in a column of numbers; a column with more texts than this is no such column
NULL_WORD = re.compile(r"\W+|#?n/?a|nan|null|none|nil|missing|unknown|[-+]?inf(inity)?", re.I)
MOST_WORDS = 5

# Arrow reads some 32 blocks of a CSV ahead: its default of 1 MB a block keeps memory bounded. Such
# blocks are too small to compress well, so they are gathered before they are written.
ROW_GROUP_BYTES = 32_000_000
JSON_CHUNK_BYTES = 16_000_000

OPEN_QUOTE = 'a " is opened and never closed (or a field is longer than 1 MB). Close it.'
NO_ROWS = "there are no rows. Give a table with at least one."
NOT_UTF8 = "the text is not UTF-8. Save it as UTF-8 (iconv -f LATIN1 -t UTF-8 does it)."


def to_parquet(source: Path, target: Path) -> int:
    """Convert a table to a Parquet file; the same input gives the same bytes.

    Whole numbers of a CSV become int64, decimals float64, everything else text; an empty field is
    null. JSON lines keep their own types. Where int64 cannot hold a whole number, or float64 not
    exactly, the column becomes text. A Parquet file is copied as it is.

    Args:
        source: A .csv, .tsv, .parquet, .jsonl or .ndjson file.
        target: The Parquet file to write.

    Returns:
        The number of rows.

    Raises:
        UserError: The type is unknown, or the content is not a sound table. Nothing is written.
    """
    if (suffix := source.suffix.lower()) not in CONVERTERS:
        raise UserError(f"{source}: unknown file type. Known are {', '.join(CONVERTERS)}.")
    partial = target.with_name(f"{target.name}.part")
    try:
        if not (rows := CONVERTERS[suffix](source, partial)):
            raise UserError(f"{source}: {NO_ROWS}")
        partial.replace(target)
    except (pa.ArrowException, UnicodeDecodeError) as fault:
        raise UserError(f"{source}: {_explain(fault)}") from fault
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _from_csv(source: Path, target: Path) -> int:
    # A type can change in the last row, so the whole file is looked at before it is converted.
    delimiter = _delimiter(source)
    marks = ".," if delimiter == ";" else "."  # before the decimals
    needs: dict[str, dict[str, set[str]]] = {mark: defaultdict(set) for mark in marks}
    odd: dict[str, set[str]] = defaultdict(set)
    for batch in _read_csv(source, delimiter):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if len(odd[name]) > MOST_WORDS:
                continue
            is_number = pc.match_substring_regex(column, NUMBER)
            others = column.filter(pc.invert(is_number)).unique()
            odd[name].update(others[: MOST_WORDS + 1].to_pylist())
            for mark in marks:
                needs[mark][name] |= _needs_of_texts(column.filter(is_number), mark)
    if odd:
        _refuse_open_quote(source, batch.columns[-1])
    kinds = {mark: {name: narrowest(needs[mark][name]) for name in odd} for mark in marks}
    mark = "." if DECIMAL in kinds["."].values() else marks[-1]
    types = {name: TEXT if odd[name] else kinds[mark][name] for name in odd}
    if delimiter != _own_delimiter(source):
        comma = ", decimals have a comma" if mark == "," and DECIMAL in types.values() else ""
        print(f"{source.name}: fields are separated by {DELIMITERS[delimiter]}{comma}.")
    commas = [name for name in odd if kinds["."][name] == TEXT != kinds[marks[-1]][name]]
    if commas and mark == ".":
        cure = "Other columns have decimal points: write all decimals alike."
        print(f"{source.name}: numbers with decimal commas stay text in {_shown(commas)}. {cure}")
    words = {name: odd[name] for name in odd if needs["."][name] and odd[name]}
    words = {name: each for name, each in words.items() if all(map(NULL_WORD.fullmatch, each))}
    if words:
        cure = "If that means null, add it to cleaning.unknown_codes in config.yaml."
        because = f"because of {sorted(set().union(*words.values()))}"
        print(f"{source.name}: numbers stay text {because} in {_shown(words)}. {cure}")
    return write(_read_csv(source, delimiter, types, mark), pa.schema(types), target)


def _shown(names: Collection[str]) -> str:
    more = ", ..." if len(names) > 5 else ""
    return f"{len(names)} column{'s' * (len(names) > 1)} ({', '.join(islice(names, 5))}{more})"


def _own_delimiter(source: Path) -> str:
    return "\t" if source.suffix.lower() == ".tsv" else ","


def _delimiter(source: Path) -> str:
    """What separates the fields: the type's own delimiter, unless only another fits the rows."""
    own = _own_delimiter(source)
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
            rows = rows[:-1]  # the last one is cut
        widths = {len(row) for row in rows}
        is_even = len(widths) == 1 and widths != {1}
        return is_even, is_even and delimiter == own, len(rows[0]) if rows else 0

    return max([own, *DELIMITERS], key=fit)


def _read_csv(
    source: Path, delimiter: str, types: dict[str, pa.DataType] | None = None, mark: str = "."
) -> Iterator[pa.RecordBatch]:
    read = csv.ReadOptions(use_threads=False)  # with threads no error tells the number of its row
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = csv.ConvertOptions(
        column_types=types,
        default_column_type=TEXT,
        null_values=[""],
        strings_can_be_null=True,
        decimal_point=mark,
    )
    with _open(source) as file, csv.open_csv(file, read, parse, convert) as batches:
        _refuse_duplicates(source, batches.schema.names)
        yield from batches


def _refuse_open_quote(source: Path, last_column: pa.Array) -> None:
    # Arrow lets an open quote run to the end of the file. What holds a newline has to end in one.
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - 100))
        closed = file.read().rstrip().endswith(b'"')
    if not closed and any("\n" in (text or "") for text in last_column[-1:].to_pylist()):
        raise UserError(f"{source}: {OPEN_QUOTE}")


def _needs_of_texts(numbers: pa.Array, mark: str) -> set[str]:
    if mark == ",":  # what has a point then is no number
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


def needs_of(integers: pa.Array | pa.ChunkedArray) -> set[str]:
    """What a type needs to hold these whole numbers, as `narrowest` takes it."""
    low, high = pc.min_max(integers).as_py().values()
    if low is None:
        return set()
    found = {"negative": low < 0, "unsigned": high >= 2**63, "long": max(-low, high) > EXACT}
    return {"whole"} | {need for need, is_needed in found.items() if is_needed}


def narrowest(needs: set[str]) -> pa.DataType:
    """The narrowest type that loses nothing.

    Args:
        needs: What `needs_of` returns, `decimal` for decimals, `text` for anything else.
    """
    if "text" in needs or {"decimal", "long"} <= needs or {"negative", "unsigned"} <= needs:
        return TEXT
    if "decimal" in needs:
        return DECIMAL
    return UNSIGNED if "unsigned" in needs else INTEGER


def _from_json(source: Path, target: Path) -> int:
    schema, needs = pa.schema([]), defaultdict(set)
    for table, chunk in _read_json(source):
        for name, column in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_integer(column.type):
                needs[name] |= needs_of(column)
            elif pa.types.is_floating(column.type):
                needs[name] |= _needs_of_json(chunk, name) if LONG.search(chunk) else {"decimal"}
        own = pa.schema([field.with_type(_as_written(field.type)) for field in table.schema])
        schema = pa.unify_schemas([schema, own], promote_options="permissive")
    kinds = {name: narrowest(needs[name]) for name in needs}
    schema = pa.schema([field.with_type(kinds.get(field.name, field.type)) for field in schema])
    texts = [name for name, kind in kinds.items() if kind == TEXT]
    typed = pa.schema([field for field in schema if field.name not in texts])

    def batches() -> Iterator[pa.RecordBatch]:
        for table, chunk in _read_json(source, typed):
            columns = [
                pa.array(_json_values(chunk, name, parse_int=str, parse_float=str), TEXT)
                if name in texts
                else table[name].combine_chunks()
                for name in schema.names
            ]
            yield pa.record_batch(columns, schema=schema)

    return write(batches(), schema, target) if schema.names else 0


def _read_json(source: Path, schema: pa.Schema | None = None) -> Iterator[tuple[pa.Table, bytes]]:
    parse = json.ParseOptions(explicit_schema=schema)
    rows = 0
    with _open(source) as file:
        while chunk := file.read(JSON_CHUNK_BYTES) + file.readline():
            chunk.decode()  # Arrow itself lets bytes pass that are not UTF-8
            read = json.ReadOptions(use_threads=False, block_size=len(chunk) + 1)
            try:
                table = json.read_json(io.BytesIO(chunk), read, parse)
            except pa.ArrowInvalid as fault:
                reason, _, row = str(fault).partition(" in row ")  # counted within the chunk
                place = f"row {rows + int(row or 0) + 1}"
                raise UserError(f"{source}: {place}: {reason.rstrip('.')}. Mend it.") from fault
            rows += table.num_rows
            yield table, chunk


def _needs_of_json(chunk: bytes, name: str) -> set[str]:
    values = [value for value in _json_values(chunk, name) if value is not None]
    whole = [value for value in values if isinstance(value, int)]
    decimal = {"decimal"} if len(whole) < len(values) else set()
    try:
        return decimal | needs_of(pa.array(whole, INTEGER))
    except (pa.ArrowInvalid, OverflowError):
        return {"text"}


def _json_values(chunk: bytes, name: str, **parsers: Any) -> list[Any]:
    """The values of one key, as Python reads them: exactly."""
    decoder, text, values, place = JSONDecoder(**parsers), chunk.decode().strip(), [], 0
    while place < len(text):
        row, place = decoder.raw_decode(text, place)
        values.append(row.get(name))
        while text[place : place + 1].isspace():
            place += 1
    return values


def _as_written(kind: pa.DataType) -> pa.DataType:
    # Arrow takes a text that looks like a date for a timestamp; JSON itself knows only text.
    if pa.types.is_timestamp(kind):
        return TEXT
    if pa.types.is_list(kind):
        return pa.list_(_as_written(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_written(field.type)) for field in kind])
    return kind


def _from_parquet(source: Path, target: Path) -> int:
    with open_table(source) as file:
        rows, names = file.metadata.num_rows, file.schema_arrow.names
    _refuse_duplicates(source, names)
    shutil.copyfile(source, target)
    return rows


def read_table(path: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file as pandas does, but with whole numbers exact, also beside nulls.

    Args:
        path: The Parquet file.
        columns: The columns to read, as far as the file has them; None for all.

    Returns:
        The table. A column of whole numbers that has nulls is of the type Int64 (UInt64, ...).

    Raises:
        UserError: The file is not Parquet, or a column holds lists, structs or bytes.
    """
    with open_table(path) as file:
        known = file.schema_arrow.names
        found = file.read(columns and [each for each in columns if each in known])
        return to_frame(found, path.name)


def open_table(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        UserError: It is none.
    """
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as fault:
        told = f"{path} is not a Parquet file, or it is not a whole Parquet file: {fault}"
        raise UserError(told) from fault


def to_frame(table: pa.Table | pa.RecordBatch, source: str, **options: Any) -> pd.DataFrame:
    """Make a DataFrame of what was read from a Parquet file, as `read_table` does.

    Args:
        table: What was read.
        source: What it was read from, for messages.
        options: As Arrow's `to_pandas` takes them.

    Raises:
        UserError: A column holds lists, structs or bytes.
    """
    refuse_compound(table.schema, source)
    # Of categories, too, pandas makes decimals where there are nulls
    plain = [field.with_type(without_categories(field.type)) for field in table.schema]
    table = table.cast(pa.schema(plain, table.schema.metadata))
    frame = table.to_pandas(**options)
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if kind in NULLABLE and table[name].null_count and name in frame:
            frame[name] = NULLABLE[kind].__from_arrow__(table[name])
    return frame


def without_categories(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, also if it is a column of categories."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def refuse_compound(schema: pa.Schema, source: str) -> None:
    """Refuse columns that have more than one value in a cell, or bytes.

    Raises:
        UserError: A column holds lists, structs, maps or bytes.
    """
    for field in schema:
        kind = without_categories(field.type)
        if pa.types.is_nested(kind) or "binary" in str(kind):
            raise UserError(
                f"Column '{field.name}' of {source} holds values of the type {kind}. "
                "Give one text, number or date per cell, or leave the column out."
            )


def write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, target: Path) -> int:
    """Write batches of this schema to a Parquet file; returns the number of rows."""
    rows, group, size = 0, [], 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in batches:
            group.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
            if size >= ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_batches(group))
    return rows


@contextmanager
def _open(source: Path) -> Iterator[BinaryIO]:
    from tqdm import tqdm  # here, for the environment of a notebook, which only reads, lacks it

    with source.open("rb") as file:
        if file.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):  # how UTF-16 begins
            raise UserError(f"{source}: {NOT_UTF8}")
        size = source.stat().st_size
        with tqdm.wrapattr(file, "read", total=size, desc=source.name, disable=None) as counted:
            yield counted


def _refuse_duplicates(source: Path, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{source}: columns named more than once: {twice}. Rename them.")


def _explain(fault: Exception) -> str:
    reason = " ".join(str(fault).split())
    if isinstance(fault, UnicodeDecodeError) or "UTF8" in reason:
        return NOT_UTF8
    if found := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", reason):
        row, expected, got, text = found.groups()
        counts = f"row {row} has {got} fields, the header (row 1) has {expected}"
        return f"{counts}: {text:.80}\nMend it; quote a text that holds the delimiter or a newline."
    if "Empty CSV" in reason:
        return NO_ROWS
    if "straddling" in reason:
        return OPEN_QUOTE
    return f"{reason.rstrip('.')}. Mend the file there."


CONVERTERS = {".csv": _from_csv, ".tsv": _from_csv, ".jsonl": _from_json, ".ndjson": _from_json}
CONVERTERS[".parquet"] = _from_parquet
