"""Scoring a file of any size: chunk by chunk, each row into one of two files."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from _utils.errors import UserError
from _utils.example.cleaning import DATE_COLUMN, NUMBER_COLUMNS, TEXT_COLUMNS
from _utils.example.model import features_of
from _utils.example.scoring import PREDICTION, REASON, score
from _utils.tabular.tables import open_table, refuse_compound, to_frame

# Of the rows
COUNTS = ("rows", "scored", "rejected")
REASONS_KEPT = 1000
# What the files made here have beside the input's columns; in an input they are of an earlier time.
OWN = [PREDICTION, "model_version", "input_version", REASON]
TYPES = (
    dict.fromkeys(NUMBER_COLUMNS, pa.float64())
    | dict.fromkeys(TEXT_COLUMNS, pa.string())
    | {DATE_COLUMN: pa.timestamp("us")}
)


def score_file(
    source: Path,
    model: Any,
    scored: Path,
    rejected: Path,
    *,
    versions: dict[str, str],
    chunk_rows: int,
    **limits: Any,
) -> tuple[dict[str, int], Counter[str]]:
    """Score a Parquet file chunk by chunk, in bounded memory; each row ends in one of two files.

    Args:
        source: The Parquet file: rows as they were collected.
        model: Its `predict` takes a table, and its `feature_names_in_` are the columns it needs.
        scored: The file to write with the rows that have a prediction: the columns as cleaning
            leaves them, `prediction`, and the versions.
        rejected: The file to write with the others: the columns as they are, and `reason`.
        versions: Columns that say which model and which input the predictions are of.
        chunk_rows: How many rows at once.
        limits: As `prepare` takes them.

    Returns:
        How many `rows` there are, `scored` and `rejected`; and the frequent reasons, with their
        numbers.

    Raises:
        UserError: It is no Parquet file, or a column that the model needs is not there.
    """
    counts, reasons = dict.fromkeys(COUNTS, 0), Counter()
    with open_table(source) as file:
        names = [name for name in file.schema_arrow.names if name not in OWN]
        raw = pa.schema([file.schema_arrow.field(name) for name in names])
        needed = features_of(model)
        check_columns(raw, needed)
        known = [name for name in names if name in TYPES or name in needed]
        prepared = [pa.field(name, TYPES.get(name, raw.field(name).type)) for name in names]
        added = [(PREDICTION, pa.float64()), *((name, pa.string()) for name in versions)]
        with (
            pq.ParquetWriter(scored, pa.schema([*prepared, *added])) as predictions,
            pq.ParquetWriter(rejected, raw.append(pa.field(REASON, pa.string()))) as rest,
            tqdm(total=file.metadata.num_rows, unit=" rows", disable=None) as bar,
        ):
            for batch in file.iter_batches(chunk_rows, columns=names):
                # The index counts the rows, also in a file that pandas wrote with another
                chunk = to_frame(batch.select(known), "the input", ignore_metadata=True)
                frame, why = score(model, chunk, **limits)
                table = _table(batch, frame.assign(**versions), predictions.schema)
                predictions.write_table(table)
                rest.write_table(_table(batch, why.to_frame(REASON), rest.schema))
                for name, rows in zip(COUNTS, (batch.num_rows, len(frame), len(why)), strict=True):
                    counts[name] += rows
                # Of some, for a reason holds the wrong value: there may be as many as rows
                reasons = Counter(dict((reasons + Counter(why)).most_common(REASONS_KEPT)))
                bar.update(batch.num_rows)
    return counts, reasons


def check_columns(raw: pa.Schema, needed: list[str]) -> None:
    """Refuse a table of which no row can be scored.

    Raises:
        UserError: A column that the model needs is missing, or one holds no single values.
    """
    if missing := [name for name in needed if name not in raw.names]:
        raise UserError(
            f"The model needs {missing}, which the input lacks; it has {raw.names}. Name the "
            "columns so in the source, or score with a version that does without."
        )
    refuse_compound(pa.schema([field for field in raw if field.name in TYPES]), "the input")


def _table(batch: pa.RecordBatch, frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """The columns that the frame has, and of those it has not the same rows of the batch."""
    rows = pa.array(frame.index.to_numpy(), pa.int64())
    columns = [
        pa.Array.from_pandas(frame[field.name], type=field.type)
        if field.name in frame
        else batch[field.name].take(rows)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
