"""Parquet files and DataFrames: read a table, write it, and choose types that lose nothing."""

import codecs
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from _utils.errors import UserError

INTEGER, UNSIGNED, DECIMAL, TEXT = pa.int64(), pa.uint64(), pa.float64(), pa.string()
EXACT = 2**53  # float64 holds every whole number up to this
NULLABLE = {
    pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name)
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
} | {pa.bool_(): pd.BooleanDtype()}
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")  # by pandas, the numbers of the rows

# Arrow reads about 32 blocks of a CSV ahead; its default block of 1 MB keeps memory bounded. Blocks
# of that size compress badly, so `write` collects them into larger row groups.
ROW_GROUP_BYTES = 32_000_000


def read_table(path: Path, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file like pandas, but keep whole numbers exact in columns with nulls.

    Args:
        path: The Parquet file.
        columns: The columns to read, None for all. Columns that the file lacks are ignored.

    Returns:
        The table. A column of whole numbers with nulls has the type Int64 (UInt64, ...), one of
        truth values with nulls boolean.

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
        # By default Arrow keeps all that it has read until the file is closed
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as fault:
        raise UserError(
            f"{path} is not a Parquet file, or it is incomplete ({fault}). Write it again."
        ) from fault


def to_frame(table: pa.Table | pa.RecordBatch, source: str) -> pd.DataFrame:
    """Convert rows of a Parquet file to a DataFrame, with whole numbers exact.

    The index counts the rows. One that pandas has saved is a column if it has a name.

    Args:
        table: The rows.
        source: Name of the file, for messages.

    Raises:
        UserError: A column holds lists, structs or bytes.
    """
    table = table.select([n for n in table.schema.names if not UNNAMED_INDEX.fullmatch(n)])
    refuse_compound(table.schema, source)
    # pandas would turn categories of whole numbers into decimals where there are nulls
    plain = [field.with_type(without_categories(field.type)) for field in table.schema]
    table = table.cast(pa.schema(plain, table.schema.metadata))
    frame = table.to_pandas(ignore_metadata=True)
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if kind in NULLABLE and table[name].null_count:
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
                f"Column '{field.name}' of {source} holds values of the type {kind!s:.60}. "
                "Use one text, number or date per cell, or remove the column."
            )


def refuse_duplicates(source: Path, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{source}: column names used more than once: {twice}. Rename them.")


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


@contextmanager
def open_text(source: Path) -> Iterator[BinaryIO]:
    from tqdm import tqdm  # imported here: an environment that only reads tables may lack it

    with source.open("rb") as file:
        if file.peek(3)[:3] == codecs.BOM_UTF8:
            file.read(3)
        size = source.stat().st_size
        with tqdm.wrapattr(file, "read", total=size, desc=source.name, disable=None) as counted:
            yield counted
