"""Convert JSON lines and JSON arrays to Parquet, with whole numbers exact."""

import io
import re
from collections import defaultdict
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
from pyarrow import json

from _utils.errors import UserError
from _utils.tabular.tables import INTEGER, TEXT, narrowest, needs_of, open_text, write

JSON_CHUNK_BYTES = 16_000_000
# Whole numbers in JSON lines that may be larger than EXACT: Arrow rounds them beside decimals
LONG = re.compile(rb"[:\s]-?\d{16,}(?=[\s,}])")
# What is between two objects of an array, and the character after it
GAP = re.compile(r"\s*(,?)\s*(.?)", re.DOTALL)


def is_array(source: Path) -> bool:
    """Tell whether a JSON file is an array; otherwise it holds JSON lines, whatever its name."""
    with open_text(source) as file:
        return file.read(1000).lstrip()[:1] == b"["


def array_to_lines(source: Path, target: Path) -> None:
    """Write the objects of a JSON array as JSON lines, with each value as it is written there.

    Raises:
        UserError: The file is not a JSON array of objects.
    """
    with (
        open_text(source) as file,
        io.TextIOWrapper(file, "utf-8", newline="") as text,
        target.open("w", encoding="utf-8", newline="\n") as lines,
    ):
        rows = 0
        try:
            for each in _objects(text):
                # Texts in JSON hold no newlines, so that these are between keys and values
                lines.write(each.replace("\n", " ").replace("\r", " ") + "\n")
                rows += 1
        except JSONDecodeError as fault:
            raise UserError(
                f"{source}, row {rows + 1}: {fault.msg}. Correct it; the file must be a list of "
                "objects: [{...}, {...}]."
            ) from fault


def _objects(file: TextIO) -> Iterator[str]:
    decode, is_first = JSONDecoder().raw_decode, True
    text = ""
    while "[" not in text:
        text = file.read(JSON_CHUNK_BYTES)
    place = text.index("[") + 1
    while True:
        gap = GAP.match(text, place)
        comma, start = gap.groups()
        if start == "]" and not comma:
            break
        if start and (start != "{" or bool(comma) == is_first):
            raise JSONDecodeError(f"{comma}{start} is not expected here", "", 0)
        try:
            _, end = decode(text, gap.start(2))
        except JSONDecodeError:  # the object may go on in what is not read yet
            if not (more := file.read(max(JSON_CHUNK_BYTES, len(text) - place))):
                raise
            text, place = text[place:] + more, 0
            continue
        yield text[gap.start(2) : end]
        place, is_first = end, False
    if (text[gap.end() :] + file.read(JSON_CHUNK_BYTES)).strip():
        raise JSONDecodeError("there is more after the closing ]", "", 0)


def json_to_parquet(source: Path, target: Path) -> int:
    """Convert JSON lines to Parquet; returns the number of rows."""
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
    with open_text(source) as file:
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
