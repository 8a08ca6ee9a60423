"""Score a file of any size in chunks: each row goes to the predictions or to the rejected rows."""

from collections import Counter
from collections.abc import Iterator
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

REASONS_KEPT = 1000
# Columns that scoring adds. If an input has them, from an earlier scoring, they are dropped.
ADDED_COLUMNS = [PREDICTION, "model_version", "input_version", REASON]
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
    """Score a Parquet file chunk by chunk, in bounded memory.

    Args:
        source: The Parquet file with the raw rows.
        model: A fitted model with `predict` and `feature_names_in_`.
        scored: The file to write for rows with a prediction: the cleaned columns, `prediction`, and
            the columns of `versions`.
        rejected: The file to write for all other rows: the raw columns, and `reason`.
        versions: Columns to add, with a constant value: the versions of the model and the input.
        chunk_rows: Rows per chunk.
        limits: Keyword arguments of `prepare`.

    Returns:
        The numbers of `rows`, `scored` and `rejected` rows; and the most frequent reasons, with
        their counts.

    Raises:
        UserError: The file is not Parquet, or lacks a column that the model needs.
    """
    counts, reasons = Counter(rows=0, scored=0, rejected=0), Counter()
    with open_table(source) as file:
        raw = pa.schema([each for each in file.schema_arrow if each.name not in ADDED_COLUMNS])
        check_columns(raw, features_of(model))
        with (
            pq.ParquetWriter(scored, _with_predictions(raw, versions)) as predictions,
            pq.ParquetWriter(rejected, raw.append(pa.field(REASON, pa.string()))) as rejections,
        ):
            for batch, frame, why in _score_batches(file, raw.names, model, chunk_rows, limits):
                table = _table(batch, frame.assign(**versions), predictions.schema)
                predictions.write_table(table)
                rejections.write_table(_table(batch, why.to_frame(REASON), rejections.schema))
                counts.update(rows=batch.num_rows, scored=len(frame), rejected=len(why))
                # A reason contains the wrong value, so there may be as many reasons as rows
                reasons = Counter(dict((reasons + Counter(why)).most_common(REASONS_KEPT)))
    return dict(counts), reasons


def _score_batches(
    file: pq.ParquetFile, names: list[str], model: Any, chunk_rows: int, limits: dict[str, Any]
) -> Iterator[tuple[pa.RecordBatch, pd.DataFrame, pd.Series]]:
    """Each batch of a file with the result of `score`; a bar shows how far it is."""
    needed = features_of(model)
    relevant = [name for name in names if name in TYPES or name in needed]
    with tqdm(total=file.metadata.num_rows, unit=" rows", disable=None) as bar:
        for batch in file.iter_batches(chunk_rows, columns=names):
            # ignore_metadata, so that the index counts the rows whatever pandas has saved
            chunk = to_frame(batch.select(relevant), "the input", ignore_metadata=True)
            yield batch, *score(model, chunk, **limits)
            bar.update(batch.num_rows)


def check_columns(raw: pa.Schema, needed: list[str]) -> None:
    """Refuse a table in which no row can be scored.

    Raises:
        UserError: A column that the model needs is missing, or holds lists, structs or bytes.
    """
    if missing := [name for name in needed if name not in raw.names]:
        raise UserError(
            f"The model needs {missing}, which the input lacks; it has {raw.names}. Rename the "
            "columns in the source, or score with a version that does not need them."
        )
    refuse_compound(pa.schema([field for field in raw if field.name in TYPES]), "the input")


def _with_predictions(raw: pa.Schema, versions: dict[str, str]) -> pa.Schema:
    """The schema of the rows with a prediction: cleaned columns have the types of cleaning."""
    prepared = [each.with_type(TYPES.get(each.name, each.type)) for each in raw]
    added = [(PREDICTION, pa.float64()), *((name, pa.string()) for name in versions)]
    return pa.schema([*prepared, *added])


def _table(batch: pa.RecordBatch, frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """The columns of the schema: from the frame, or else from the same rows of the batch."""
    rows = pa.array(frame.index.to_numpy(), pa.int64())
    columns = [
        pa.Array.from_pandas(frame[field.name], type=field.type)
        if field.name in frame
        else batch[field.name].take(rows)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
