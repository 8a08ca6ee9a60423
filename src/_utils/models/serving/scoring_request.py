"""Check requests to the scoring server before MLflow and pandas read them.

CSV becomes the JSON of the same rows, so that both have the same answer. A table is refused if
building it would take so long that all other requests have to wait.
"""

import csv
import io
import json
import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from mlflow.types import DataType, Schema

CSV, JSON, PARQUET = "text/csv", "application/json", "application/vnd.apache.parquet"
SPLIT = "dataframe_split"
TABLES = (SPLIT, "dataframe_records", "inputs", "instances")
SPARE_COLUMNS = 10_000  # of a table, beyond those that the model asks for
CELLS_PER_BYTE = 10  # more than CSV and JSON have, except rows that each have other columns
LARGEST = float(np.finfo("float32").max)  # what scikit-learn's trees take
DIGITS = frozenset("0123456789+-.eE")


def read_request(body: bytes, content_type: str, schema: Schema | None) -> tuple[bytes, str]:
    """Check a request, and convert CSV to JSON if the model's signature has the types of columns.

    Args:
        body: The whole body.
        content_type: Without parameters.
        schema: The inputs in the model's signature, None if it has none.

    Returns:
        The body and the content type for MLflow.

    Raises:
        ValueError: The CSV cannot be read, or the table would be too large.
    """
    if content_type == CSV:
        names, rows = _read_csv(body, schema)
        if schema and not schema.is_tensor_spec():
            table = {"columns": names, "data": _convert(names, rows, schema)}
            return json.dumps({SPLIT: table}).encode(), JSON
    elif content_type == PARQUET:
        metadata = pq.read_metadata(io.BytesIO(body))
        _check_size(metadata.num_columns, metadata.num_rows, body, schema)
    elif content_type == JSON:
        request = None
        with suppress(ValueError):  # MLflow says what is wrong with it
            request = json.loads(body)
        _check_json(request, body, schema)
    return body, content_type


def fault_of(data: Any, schema: Schema | None) -> str:
    """What is wrong with data that a model failed on, although MLflow's own check accepted it.

    Returns:
        One sentence; empty if the data are what the model's signature asks for.
    """
    try:
        frame = pd.DataFrame(data)
    except (TypeError, ValueError):  # a tensor
        return ""
    types = schema.input_dict() if schema and schema.has_input_names() else {}
    if not len(frame):
        return "there are no rows"
    if missing := [name for name in types if name not in frame]:
        return f"columns are missing: {missing}; send null where a value is not known"
    for name, column in frame.items():
        cells = column.dropna().infer_objects()
        if name in types and types[name].type == DataType.string:
            if not cells.map(lambda cell: isinstance(cell, str)).all():
                return f"column {name} holds something other than text and null"
        elif pd.api.types.is_numeric_dtype(cells) and (cells.abs() > LARGEST).any():
            return f"column {name} contains infinity or a number above {LARGEST:.1e}"
    return ""


def _check_json(request: Any, body: bytes, schema: Schema | None) -> None:
    """Refuse the tables of a request that are too large, or have lists where values should be."""
    for key in TABLES if isinstance(request, dict) else ():
        table = request.get(key)
        if key == SPLIT and isinstance(table, dict):
            _refuse_nested([table.get("index")])
            names, table = table.get("columns") or [], table.get("data")
            if isinstance(table, list):  # names are checked as if they were a row
                table = [names, *table]
        if not isinstance(table, list | dict):
            continue
        parts = list(table.values()) if isinstance(table, dict) else table
        # pandas makes lists and dictionaries so long that they fit beside each other
        names = set().union(*(part for part in parts if isinstance(part, dict)))
        extent = max(1, len(names), *(len(part) for part in parts if isinstance(part, list)))
        columns, rows = (extent, len(table)) if parts is table else (len(table), extent)
        _check_size(columns, rows, body, schema)
        if schema and all(isinstance(each, DataType) for each in schema.input_types()):
            _refuse_nested(parts)


def _refuse_nested(parts: Iterable) -> None:
    for part in parts:
        cells = part.values() if isinstance(part, dict) else part
        for cell in cells if isinstance(part, list | dict) else ():
            if isinstance(cell, list | dict):
                raise ValueError(
                    f"{reprlib.repr(cell)} is neither text, number, true, false nor null"
                )


def _check_size(columns: int, rows: int, body: bytes, schema: Schema | None) -> None:
    expected = len(schema.inputs) if schema else 0
    # A tensor is no table: it becomes an array, which takes no time for each column
    most = math.inf if schema and schema.is_tensor_spec() else SPARE_COLUMNS + expected
    if columns > most:
        raise ValueError(
            f"{columns} columns are too many: send those of the model, {most} at most."
        )
    if columns * rows > CELLS_PER_BYTE * len(body):
        raise ValueError(
            f"{rows} rows with {columns} different columns are too many for {len(body)} bytes: "
            "send rows that have the same columns, or fewer at once."
        )


def _read_csv(body: bytes, schema: Schema | None) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names in the first line of CSV, and the fields of the others by the line's number."""
    reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
    try:
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise ValueError(f"Line {reader.line_num} is not CSV: {error}.") from error
    if not lines:
        raise ValueError("No columns: the first line has to name them.")
    (_, names), *rows = lines
    _check_size(len(names), len(rows), body, schema)
    for line, fields in rows:
        if len(fields) != len(names):
            raise ValueError(f"Line {line} has {len(fields)} fields, but line 1 has {len(names)}.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"Line 1 has columns more than once: {twice[:10]}.")
    return names, rows


def _convert(
    names: list[str], rows: list[tuple[int, list[str]]], schema: Schema
) -> list[list[Any]]:
    """The values of the rows, as the signature says by name or by place; only "" is null."""
    kinds = (each if isinstance(each, DataType) else None for each in schema.input_types())
    inputs = schema.input_names() if schema.has_input_names() else names
    by_name = {name: CONVERTERS.get(kind, _text) for name, kind in zip(inputs, kinds, strict=False)}
    converters = [by_name.get(name, _text) for name in names]
    data = []
    for line, fields in rows:
        cells = zip(names, fields, converters, strict=True)
        try:
            data.append([convert(text, name) if text else None for name, text, convert in cells])
        except ValueError as error:
            raise ValueError(f"Line {line}, {error}.") from None
    return data


def _text(text: str, name: str) -> str:
    return text


def _number(text: str, name: str) -> int | float:
    digits = text.strip()
    if DIGITS.issuperset(digits):  # not nan, inf, or 1_000
        for kind in (int, float):
            with suppress(ValueError):
                return kind(digits)
    raise ValueError(f"column {name}: '{text[:50]}' is not a number")


def _boolean(text: str, name: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"column {name}: '{text[:50]}' is neither true nor false")
    return text.lower() == "true"


CONVERTERS: dict[DataType | None, Callable[[str, str], Any]] = {
    DataType.boolean: _boolean,
    **dict.fromkeys([DataType.integer, DataType.long, DataType.float, DataType.double], _number),
}
