"""Turn a table of any known file type into one Parquet file, in bounded memory."""

import io
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv, json
from tqdm import tqdm

from _utils.errors import UserError

INTEGER, DECIMAL, TEXT = TYPES = (pa.int64(), pa.float64(), pa.string())  # from narrow to wide

# Arrow would also take 00123 and 0x1F, which are codes, nan, and 20 digits, though it loses some.
NUMBER = r"^-?(0|[1-9]\d{0,18})?(\.\d*)?([eE][+-]?\d+)?$"

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
    null. JSON lines keep their own types. A Parquet file is copied as it is.

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
    types: dict[str, pa.DataType] = {}
    for batch in _read_csv(source, {}):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            types[name] = _narrowest(column, types.get(name, INTEGER))
    if types:
        _refuse_open_quote(source, batch.columns[-1])
    return write(_read_csv(source, types), pa.schema(types), target)


def _read_csv(source: Path, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    delimiter = "\t" if source.suffix.lower() == ".tsv" else ","
    read = csv.ReadOptions(use_threads=False)  # with threads no error tells the number of its row
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = csv.ConvertOptions(
        column_types=types, default_column_type=TEXT, null_values=[""], strings_can_be_null=True
    )
    with _open(source) as file, csv.open_csv(file, read, parse, convert) as reader:
        _refuse_duplicates(source, reader.schema.names)
        yield from reader


def _refuse_open_quote(source: Path, last_column: pa.Array) -> None:
    # Arrow lets an open quote run to the end of the file. What holds a newline has to end in one.
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - 100))
        closed = file.read().rstrip().endswith(b'"')
    if not closed and any("\n" in (text or "") for text in last_column[-1:].to_pylist()):
        raise UserError(f"{source}: {OPEN_QUOTE}")


def _narrowest(column: pa.Array, floor: pa.DataType) -> pa.DataType:
    if floor == TEXT or not pc.all(pc.match_substring_regex(column, NUMBER), min_count=0).as_py():
        return TEXT
    for candidate in TYPES[TYPES.index(floor) : -1]:
        with suppress(pa.ArrowInvalid):
            column.cast(candidate)
            return candidate
    return TEXT


def _from_json(source: Path, target: Path) -> int:
    schema = pa.schema([])
    for batch in _read_json(source, None):
        own = pa.schema([field.with_type(_as_written(field.type)) for field in batch.schema])
        schema = pa.unify_schemas([schema, own], promote_options="permissive")
    return write(_read_json(source, schema), schema, target) if schema.names else 0


def _read_json(source: Path, schema: pa.Schema | None) -> Iterator[pa.RecordBatch]:
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
            yield from table.to_batches()


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
    try:
        with pq.ParquetFile(source) as file:
            rows, names = file.metadata.num_rows, file.schema_arrow.names
    except (pa.ArrowInvalid, OSError) as fault:
        raise UserError(f"{source}: this is not a whole Parquet file. {fault}") from fault
    _refuse_duplicates(source, names)
    shutil.copyfile(source, target)
    return rows


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
