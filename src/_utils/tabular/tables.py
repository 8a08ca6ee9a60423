"""Convert data files (CSV, TSV, JSON lines) to Parquet, and read Parquet into a DataFrame."""

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

# Arrow would also read 00123 and 0x1F, which are codes, and nan as numbers.
NUMBER = r"^-?(0|[1-9]\d{0,18})?([.,]\d*)?([eE][+-]?\d+)?$"
WHOLE = r"^-?\d+$"
EXACT = 2**53  # float64 holds every whole number up to this
# Whole numbers in JSON lines that may be larger than EXACT: Arrow rounds them beside decimals
LONG = re.compile(rb"[:\s]-?\d{16,}(?=[\s,}])")
NULLABLE = {
    pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name)
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
}

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLE_BYTES, SAMPLE_ROWS = 100_000, 20
# Words that mean null in a column of numbers, and how many of them such a column may have
NULL_WORD = re.compile(r"\W+|#?n/?a|nan|null|none|nil|missing|unknown|[-+]?inf(inity)?", re.I)
MOST_WORDS = 5

# Arrow reads about 32 blocks of a CSV ahead; its default block of 1 MB keeps memory bounded. Blocks
# of that size compress badly, so `write` collects them into larger row groups.
ROW_GROUP_BYTES = 32_000_000
JSON_CHUNK_BYTES = 16_000_000

OPEN_QUOTE = 'a quote (") is never closed, or a field is longer than 1 MB. Close the quote.'
NO_ROWS = "the table has no rows. Provide at least one."
NOT_UTF8 = "the text is not UTF-8. Convert it, for example with iconv -f LATIN1 -t UTF-8."


def to_parquet(source: Path, target: Path) -> int:
    """Convert a table to a Parquet file; the same input gives the same bytes.

    Whole numbers of a CSV become int64, decimals float64, everything else text; an empty field
    becomes null. JSON lines keep their types. A column becomes text if it has a whole number that
    int64 cannot hold, or that float64 cannot hold exactly. A Parquet file is copied unchanged.

    Args:
        source: A .csv, .tsv, .parquet, .jsonl or .ndjson file.
        target: The Parquet file to write.

    Returns:
        The number of rows.

    Raises:
        UserError: The file type is unknown, or the content is not a valid table. The target is
            not written.
    """
    if (suffix := source.suffix.lower()) not in CONVERTERS:
        raise UserError(f"{source}: unknown file type. Use one of {', '.join(CONVERTERS)}.")
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
    # The last row can change the type of a column, so a first pass reads the whole file.
    delimiter = _delimiter(source)
    marks = ".," if delimiter == ";" else "."  # decimal points; with semicolons also commas
    needs: dict[str, dict[str, set[str]]] = {mark: defaultdict(set) for mark in marks}
    texts: dict[str, set[str]] = defaultdict(set)  # what is not a number, by column
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
    with _open(source) as file, csv.open_csv(file, read, parse, convert) as batches:
        _refuse_duplicates(source, batches.schema.names)
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


def needs_of(integers: pa.Array | pa.ChunkedArray) -> set[str]:
    """What a type must be able to hold for these whole numbers, as input for `narrowest`."""
    low, high = pc.min_max(integers).as_py().values()
    if low is None:
        return set()
    needs = {"negative": low < 0, "unsigned": high >= 2**63, "long": max(-low, high) > EXACT}
    return {"whole"} | {need for need, is_needed in needs.items() if is_needed}


def narrowest(needs: set[str]) -> pa.DataType:
    """The narrowest type that holds all values exactly.

    Args:
        needs: The result of `needs_of`; also `decimal` for decimals, `text` for anything else.
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
            chunk.decode()  # Arrow does not check that the bytes are UTF-8
            read = json.ReadOptions(use_threads=False, block_size=len(chunk) + 1)
            try:
                table = json.read_json(io.BytesIO(chunk), read, parse)
            except pa.ArrowInvalid as fault:
                reason, _, row = str(fault).partition(" in row ")  # counted within the chunk
                place = f"row {rows + int(row or 0) + 1}"
                raise UserError(f"{source}, {place}: {reason.rstrip('.')}. Correct it.") from fault
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
    """The exact values of one key, as Python parses them."""
    decoder, text, values, place = JSONDecoder(**parsers), chunk.decode().strip(), [], 0
    while place < len(text):
        row, place = decoder.raw_decode(text, place)
        values.append(row.get(name))
        while text[place : place + 1].isspace():
            place += 1
    return values


def _as_written(kind: pa.DataType) -> pa.DataType:
    # Arrow converts texts that look like dates to timestamps; in JSON they are texts.
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
    """Read a Parquet file like pandas, but keep whole numbers exact in columns with nulls.

    Args:
        path: The Parquet file.
        columns: The columns to read, None for all. Columns that the file lacks are ignored.

    Returns:
        The table. A column of whole numbers with nulls has the type Int64 (UInt64, ...).

    Raises:
        UserError: The file is not Parquet, or a column holds lists, structs or bytes.
    """
    with open_table(path) as file:
        available = file.schema_arrow.names
        table = file.read(columns and [name for name in columns if name in available])
        return to_frame(table, path.name)


def open_table(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        UserError: The file is not Parquet, or it is incomplete.
    """
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as fault:
        raise UserError(
            f"{path} is not a Parquet file, or it is incomplete ({fault}). Write it again."
        ) from fault


def to_frame(table: pa.Table | pa.RecordBatch, source: str, **options: Any) -> pd.DataFrame:
    """Convert rows of a Parquet file to a DataFrame, with whole numbers exact.

    Args:
        table: The rows.
        source: Name of the file, for messages.
        options: Options of Arrow's `to_pandas`.

    Raises:
        UserError: A column holds lists, structs or bytes.
    """
    refuse_compound(table.schema, source)
    # pandas would turn categories of whole numbers into decimals where there are nulls
    plain = [field.with_type(without_categories(field.type)) for field in table.schema]
    table = table.cast(pa.schema(plain, table.schema.metadata))
    frame = table.to_pandas(**options)
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if kind in NULLABLE and table[name].null_count and name in frame:
            frame[name] = NULLABLE[kind].__from_arrow__(table[name])
    return frame


def without_categories(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values; for a column of categories, the type of its categories."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def refuse_compound(schema: pa.Schema, source: str) -> None:
    """Refuse columns with more than one value in a cell, or with bytes.

    Raises:
        UserError: A column holds lists, structs, maps or bytes.
    """
    for field in schema:
        kind = without_categories(field.type)
        if pa.types.is_nested(kind) or "binary" in str(kind):
            raise UserError(
                f"Column '{field.name}' of {source} holds values of the type {kind}. "
                "Use one text, number or date per cell, or remove the column."
            )


def write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, target: Path) -> int:
    """Write batches of this schema to a Parquet file, and return the number of rows."""
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
    from tqdm import tqdm  # imported here: an environment that only reads tables may lack it

    with source.open("rb") as file:
        if file.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16
            raise UserError(f"{source}: {NOT_UTF8}")
        size = source.stat().st_size
        with tqdm.wrapattr(file, "read", total=size, desc=source.name, disable=None) as counted:
            yield counted


def _refuse_duplicates(source: Path, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{source}: column names used more than once: {twice}. Rename them.")


def _explain(fault: Exception) -> str:
    reason = " ".join(str(fault).split())
    if isinstance(fault, UnicodeDecodeError) or "UTF8" in reason:
        return NOT_UTF8
    if match := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", reason):
        row, expected, got, text = match.groups()
        counts = f"row {row} has {got} fields, the header (row 1) has {expected}"
        return f"{counts}: {text:.80}\nCorrect it; quote texts that contain delimiters or newlines."
    if "Empty CSV" in reason:
        return NO_ROWS
    if "straddling" in reason:
        return OPEN_QUOTE
    return f"{reason.rstrip('.')}. Correct the file there."


CONVERTERS = {".csv": _from_csv, ".tsv": _from_csv, ".jsonl": _from_json, ".ndjson": _from_json}
CONVERTERS[".parquet"] = _from_parquet
