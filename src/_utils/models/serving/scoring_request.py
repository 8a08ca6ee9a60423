"""What a request to the scoring server holds, looked at before MLflow and pandas see it.

CSV becomes the JSON of the same rows, so that both have the same answer. A table that would take
so long to make that all other requests had to wait is refused.
"""

import csv
import io
import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from mlflow.pyfunc.scoring_server import (
    CONTENT_TYPE_CSV,
    CONTENT_TYPE_JSON,
    CONTENT_TYPE_PARQUET,
    DF_SPLIT,
    SUPPORTED_FORMATS,
)
from mlflow.types import DataType, Schema

SPARE_COLUMNS = 10_000  # of a table, beyond those that the model asks for
CELLS_PER_BYTE = 10  # more than CSV and JSON have, but for rows that each have other columns
NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)
LARGEST = float(np.finfo("float32").max)  # what scikit-learn's trees take
DIGITS = frozenset("0123456789+-.eE")
JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def read_request(body: bytes, content_type: str, schema: Schema | None) -> tuple[bytes, str]:
    """Look at a request, and make JSON of CSV.

    Args:
        body: All of it.
        content_type: Without parameters.
        schema: The inputs in the model's signature, None if it has none.

    Returns:
        The body and the content type for MLflow.

    Raises:
        ValueError: The CSV cannot be read, or the table would be too large.
    """
    if content_type == CONTENT_TYPE_CSV:
        return _csv_to_json(body, schema), CONTENT_TYPE_JSON
    if content_type == CONTENT_TYPE_PARQUET:
        metadata = pq.read_metadata(io.BytesIO(body))
        _check_size(metadata.num_columns, metadata.num_rows, body, schema)
    if content_type == CONTENT_TYPE_JSON:
        try:
            request = json.loads(body)
        except ValueError:
            return body, content_type  # MLflow says what is wrong with it
        if isinstance(request, dict):
            _check_json(request, body, schema)
    return body, content_type


def fault_of(data: Any, schema: Schema | None) -> str:
    """What is wrong with data that a model failed on, though MLflow's check let it pass.

    Returns:
        One sentence; empty if the data are what the model's signature asks for.
    """
    try:
        frame = pd.DataFrame(data)
    except (TypeError, ValueError):  # a tensor
        return ""
    named = schema is not None and schema.has_input_names()
    types = dict(zip(schema.input_names(), schema.input_types(), strict=True)) if named else {}
    if not len(frame):
        return "there are no rows"
    if missing := [name for name in types if name not in frame]:
        return f"columns are missing: {missing}; send null where a value is not known"
    for name, column in frame.items():
        cells = column.dropna().infer_objects()
        if types.get(name) == DataType.string:
            if not cells.map(lambda cell: isinstance(cell, str)).all():
                return f"column {name} holds something other than text and null"
        elif pd.api.types.is_numeric_dtype(cells) and (cells.abs() > LARGEST).any():
            return f"column {name} contains infinity or a number above {LARGEST:.1e}"
    return ""


def _check_json(request: dict, body: bytes, schema: Schema | None) -> None:
    for key in SUPPORTED_FORMATS & request.keys():
        table = request[key]
        if key == DF_SPLIT and isinstance(table, dict):
            names, index = table.get("columns") or [], table.get("index") or []
            _check_size(len(names), 0, body, schema)
            _refuse_nested([names, index])
            table = table.get("data")
        parts = table.values() if isinstance(table, dict) else table
        if not isinstance(table, list | dict):
            continue
        extents = [len(table), _extent(parts)]
        rows, columns = extents if isinstance(table, list) else extents[::-1]
        _check_size(columns, rows, body, schema)
        if schema and all(isinstance(each, DataType) for each in schema.input_types()):
            _refuse_nested(parts)


def _refuse_nested(parts: Collection) -> None:
    for part in parts:
        cells = part.values() if isinstance(part, dict) else part
        for cell in cells if isinstance(part, list | dict) else ():
            if isinstance(cell, list | dict):
                raise ValueError(
                    f"{reprlib.repr(cell)} is neither text, number, true, false nor null"
                )


def _extent(parts: Collection) -> int:
    """How long pandas makes lists and dictionaries, so that they fit beside each other."""
    names = set().union(*(part for part in parts if isinstance(part, dict)))
    return max(1, len(names), *(len(part) for part in parts if isinstance(part, list)))


def _check_size(columns: int, rows: int, body: bytes, schema: Schema | None) -> None:
    asked = len(schema.inputs) if schema else 0
    # A tensor is no table: it becomes an array, which takes no time for each column
    most = math.inf if schema and schema.is_tensor_spec() else SPARE_COLUMNS + asked
    if columns > most:
        raise ValueError(
            f"{columns} columns are too many: send those of the model, {most} at most."
        )
    if columns * rows > CELLS_PER_BYTE * len(body):
        raise ValueError(
            f"{rows} rows with {columns} different columns are too many for {len(body)} bytes: "
            "send rows that have the same columns, or fewer at once."
        )


def _csv_to_json(body: bytes, schema: Schema | None) -> bytes:
    """The request `dataframe_split` with the rows of a CSV file; only an empty field is null."""
    reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
    try:
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise ValueError(f"Line {reader.line_num} is not CSV: {error}.") from error
    if not lines:
        raise ValueError("No columns: the first line has to name them.")
    (_, names), *rows = lines
    _check_size(len(names), len(rows), body, schema)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"Line 1 has columns more than once: {twice[:10]}.")
    for line, fields in rows:
        if len(fields) != len(names):
            raise ValueError(f"Line {line} has {len(fields)} fields, but line 1 has {len(names)}.")
    texts = list(zip(*(fields for _, fields in rows), strict=True)) or [()] * len(names)
    columns = []
    for name, column, convert in zip(names, texts, _converters(names, texts, schema), strict=True):
        columns.append(values := [])
        for (line, _), text in zip(rows, column, strict=True):
            try:
                values.append(convert(text) if text else None)
            except ValueError as error:
                raise ValueError(f"Line {line}, column {name}: {error}.") from error
    data = list(zip(*columns, strict=True))
    return json.dumps({DF_SPLIT: {"columns": names, "data": data}}).encode()


def _converters(
    names: list[str], columns: Sequence[Sequence[str]], schema: Schema | None
) -> list[Callable[[str], Any]]:
    """What makes a value of a text, by column: as the signature says, or as all texts look."""
    if schema is None or schema.is_tensor_spec():
        return [_converter_for(texts) for texts in columns]
    types = {each: _number for each in NUMBERS} | {DataType.boolean: _boolean}
    expected = [
        types.get(each, str) if isinstance(each, DataType) else str for each in schema.input_types()
    ]
    known = schema.input_names() if schema.has_input_names() else names
    by_name = dict(zip(known, expected, strict=False))
    return [by_name.get(name, str) for name in names]


def _converter_for(texts: Sequence[str]) -> Callable[[str], Any]:
    filled = [text for text in texts if text]
    if all(map(JSON_NUMBER.fullmatch, filled)):  # so 007 stays text
        return _number
    return _boolean if all(text.lower() in ("true", "false") for text in filled) else str


def _number(text: str) -> int | float:
    digits = text.strip()
    if DIGITS.issuperset(digits):  # not nan, inf, or 1_000
        for kind in (int, float):
            with suppress(ValueError):
                return kind(digits)
    raise ValueError(f"'{text[:50]}' is not a number")


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"'{text[:50]}' is neither true nor false")
    return text.lower() == "true"
