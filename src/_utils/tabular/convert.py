"""Convert a data file of any supported type to Parquet."""

import re
import shutil
from pathlib import Path

import pyarrow as pa

from _utils.errors import UserError
from _utils.tabular.from_csv import OPEN_QUOTE, csv_to_parquet
from _utils.tabular.from_json import json_to_parquet
from _utils.tabular.tables import NOT_UTF8, open_table, refuse_duplicates

NO_ROWS = "the table has no rows. Provide at least one."


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


def _from_parquet(source: Path, target: Path) -> int:
    with open_table(source) as file:
        rows, names = file.metadata.num_rows, file.schema_arrow.names
    refuse_duplicates(source, names)
    shutil.copyfile(source, target)
    return rows


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


CONVERTERS = {
    ".csv": csv_to_parquet,
    ".tsv": csv_to_parquet,
    ".jsonl": json_to_parquet,
    ".ndjson": json_to_parquet,
    ".parquet": _from_parquet,
}
