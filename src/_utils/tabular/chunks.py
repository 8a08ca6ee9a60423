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
from _utils.tabular.cleaning import Rules
from _utils.tabular.contract import Contract
from _utils.tabular.predictions import PREDICTION, REASON, columns_of, features_of, is_added
from _utils.tabular.scoring import score
from _utils.tabular.tables import open_table, refuse_compound, to_frame
from _utils.tabular.terms import DATE, NUMBER

REASONS_KEPT = 1000


def score_file(
    source: Path,
    model: Any,
    contract: Contract,
    scored: Path,
    rejected: Path,
    *,
    versions: dict[str, str],
    chunk_rows: int,
    unknown_codes: list[str],
    rules: Rules | None = None,
) -> tuple[dict[str, int], Counter[str]]:
    """Score a Parquet file chunk by chunk, in bounded memory.

    Args:
        source: The Parquet file with the raw rows.
        model: A fitted model, see `predictions.predict`.
        contract: The contract that the model was trained with.
        scored: The file to write for rows with a prediction: the cleaned columns, those of
            `predictions.predict`, and the columns of `versions`.
        rejected: The file to write for all other rows: the raw columns, and
            `rejection_reason`.
        versions: Columns to add, with a constant value: the versions of the model and the input.
        chunk_rows: Rows per chunk.
        unknown_codes: As for `score`.
        rules: As for `score`.

    Returns:
        The numbers of `rows`, `scored` and `rejected` rows; and the most frequent reasons, with
        their counts.

    Raises:
        UserError: The file is not Parquet, or lacks a column that the model needs.
    """
    counts, reasons = Counter(rows=0, scored=0, rejected=0), Counter()
    with open_table(source) as file:
        raw = pa.schema([each for each in file.schema_arrow if not is_added(each.name)])
        check_columns(raw, features_of(model), contract)
        schema = _with_predictions(raw, contract, model, versions)
        with (
            pq.ParquetWriter(scored, schema) as predictions,
            pq.ParquetWriter(rejected, raw.append(pa.field(REASON, pa.string()))) as rejections,
        ):
            for batch, chunk in _chunks(file, raw.names, contract, chunk_rows):
                frame, why = score(model, chunk, contract, unknown_codes, rules)
                table = _table(batch, frame.assign(**versions), predictions.schema)
                predictions.write_table(table)
                rejections.write_table(_table(batch, why.to_frame(REASON), rejections.schema))
                counts.update(rows=batch.num_rows, scored=len(frame), rejected=len(why))
                # A reason contains the wrong value, so there may be as many reasons as rows
                reasons = Counter(dict((reasons + Counter(why)).most_common(REASONS_KEPT)))
    return dict(counts), reasons


def columns_outside(source: Path, contract: Contract) -> list[str]:
    """The columns of a Parquet file that the contract does not name, but for those of scoring."""
    with open_table(source) as file:
        names = file.schema_arrow.names
    return [name for name in names if name not in contract.columns and not is_added(name)]


def _chunks(
    file: pq.ParquetFile, names: list[str], contract: Contract, chunk_rows: int
) -> Iterator[tuple[pa.RecordBatch, pd.DataFrame]]:
    """Each batch of a file, also as a table of the contract's columns, with a bar of progress."""
    relevant = [name for name in names if name in contract.columns]
    with tqdm(total=file.metadata.num_rows, unit=" rows", disable=None) as bar:
        for batch in file.iter_batches(chunk_rows, columns=names):
            yield batch, to_frame(batch.select(relevant), "the input")
            bar.update(batch.num_rows)


def check_columns(raw: pa.Schema, needed: list[str], contract: Contract) -> None:
    """Refuse a table in which no row can be scored.

    Raises:
        UserError: A column that the model needs is missing, or holds lists, structs or bytes.
    """
    if missing := [name for name in needed if name not in raw.names]:
        cure = "Rename the columns in the source, or score with a version that does not need them."
        if len(raw.names) == 1:
            cure = "If it is a CSV file with another delimiter or encoding, set data.csv for it."
        raise UserError(
            f"The model needs {missing}, which the input lacks; it has {raw.names}. {cure}"
        )
    relevant = [field for field in raw if field.name in contract.columns]
    refuse_compound(pa.schema(relevant), "the input")


def _with_predictions(
    raw: pa.Schema, contract: Contract, model: Any, versions: dict[str, str]
) -> pa.Schema:
    """The schema of the rows with a prediction: cleaned columns have the types of cleaning."""
    prepared = [each.with_type(_type_of(each, contract)) for each in raw]
    labels = pa.array([*getattr(model, "classes_", [0.0])]).type
    predicted = dict.fromkeys(columns_of(model), pa.float64()) | {PREDICTION: labels}
    return pa.schema([*prepared, *predicted.items(), *((name, pa.string()) for name in versions)])


def _type_of(field: pa.Field, contract: Contract) -> pa.DataType:
    """The type that cleaning gives to a column."""
    if field.name not in contract.columns:
        return field.type
    if field.name == contract.target and contract.is_classification:
        if pa.types.is_integer(field.type):
            return pa.int64()
        return field.type if pa.types.is_boolean(field.type) else pa.string()
    kinds = {NUMBER: pa.float64(), DATE: pa.timestamp("us")}
    return kinds.get(contract.columns[field.name].kind, pa.string())


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
