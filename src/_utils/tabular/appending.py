"""Append the rows of one Parquet file to another, in bounded memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from _utils.errors import UserError
from _utils.tabular.tables import TEXT, narrowest, needs_of, open_table, without_categories, write


def append(new: Path, old: Path, target: Path) -> int:
    """Write the rows of two Parquet files into one, the old rows first, in bounded memory.

    A column that only one file has is null in the rows of the other. Where types differ, the column
    gets the wider one, or text if that would round whole numbers.

    Args:
        new: The Parquet file whose rows come last.
        old: The Parquet file whose rows come first.
        target: The Parquet file to write.

    Returns:
        The number of rows.

    Raises:
        UserError: The values of a column have no common type.
    """
    with open_table(old) as first, open_table(new) as second:
        files = (first, second)
        names = dict.fromkeys(name for file in files for name in file.schema_arrow.names)
        schema = pa.schema([(name, _common_type(name, files)) for name in names])
        batches = (fit(batch, schema) for file in files for batch in file.iter_batches())
        return write(batches, schema, target)


def check_labels(new: Path, target: str) -> None:
    """Refuse new data of which a model cannot learn: cleaning drops rows without a target.

    Raises:
        UserError: The Parquet file lacks the target, or it is null in all rows.
    """
    with open_table(new) as file:
        batches = file.iter_batches(columns=[target]) if target in file.schema_arrow.names else ()
        if not any(batch[target].null_count < len(batch) for batch in batches):
            raise UserError(
                f"The new data have no '{target}' in any row, so a model cannot learn from them. "
                "Add the labels to their file, or name a file of labels by id: "
                "monitoring.labels_url."
            )


def _common_type(name: str, files: tuple[pq.ParquetFile, ...]) -> pa.DataType:
    having = [file for file in files if name in file.schema_arrow.names]
    types = [without_categories(file.schema_arrow.field(name).type) for file in having]
    common = common_type(types)
    is_decimal = pa.types.is_floating(common)
    if common == types[0] == types[-1] or not (is_decimal or pa.types.is_integer(common)):
        return common
    # Arrow would round large whole numbers beside decimals, and fail on mixes of int64 and uint64
    needs = {"decimal"} if is_decimal else set()
    for file, kind in zip(having, types, strict=True):
        if pa.types.is_decimal(kind) and not kind.scale:
            needs.add("long")
        for batch in file.iter_batches(columns=[name]) if pa.types.is_integer(kind) else ():
            needs |= needs_of(batch[name].cast(kind))
    return narrowest(needs)


def common_type(types: list[pa.DataType]) -> pa.DataType:
    """The type that Arrow unifies these types to; text if they have no common type."""
    try:
        schemas = [pa.schema({"": each}) for each in types]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowTypeError:
        return TEXT


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Convert a batch to a schema: its columns, their types, and nulls for a column it lacks.

    Raises:
        UserError: The values of a column cannot be converted.
    """
    columns = []
    for field in schema:
        exists = field.name in batch.schema.names
        column = batch[field.name] if exists else pa.nulls(batch.num_rows)
        try:
            columns.append(column.cast(without_categories(column.type)).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UserError(
                f"Column '{field.name}' has the type {column.type} in some rows, which cannot be "
                f"converted to {field.type}, the type of all rows ({error}). Use one type for it."
            ) from error
    return pa.record_batch(columns, schema=schema)
