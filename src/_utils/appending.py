"""Put the rows of two Parquet files into one, in bounded memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from _utils.tables import TEXT, write


def append(new: Path, old: Path, target: Path) -> int:
    """Write the rows of two Parquet files into one, the old ones first, in bounded memory.

    A column that only one has is null in the rows of the other. Where types differ the wider one
    is taken, text if need be.

    Args:
        new: A Parquet file.
        old: A Parquet file.
        target: The Parquet file to write.

    Returns:
        The number of rows.
    """
    with pq.ParquetFile(old) as first, pq.ParquetFile(new) as second:
        schema = _common_schema(first.schema_arrow, second.schema_arrow)
        batches = (_fit(batch, schema) for file in (first, second) for batch in file.iter_batches())
        return write(batches, schema, target)


def _common_schema(first: pa.Schema, second: pa.Schema) -> pa.Schema:
    fields = []
    for name in dict.fromkeys([*first.names, *second.names]):
        types = [schema.field(name).type for schema in (first, second) if name in schema.names]
        try:
            (field,) = pa.unify_schemas(
                [pa.schema({name: each}) for each in types], promote_options="permissive"
            )
        except pa.ArrowTypeError:
            field = pa.field(name, TEXT)
        fields.append(field)
    return pa.schema(fields)


def _fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    nulls = pa.nulls(batch.num_rows)
    columns = [batch[name] if name in batch.schema.names else nulls for name in schema.names]
    pairs = zip(columns, schema.types, strict=True)
    return pa.record_batch([column.cast(each) for column, each in pairs], schema=schema)
