"""Labels that arrive later, in a table of their own, joined to the rows by their ids."""

from pathlib import Path

import pandas as pd

from _utils.errors import UserError
from _utils.tabular.columns import to_numbers, to_text
from _utils.tabular.contract import Contract
from _utils.tabular.tables import read_table
from _utils.tabular.terms import ID


def columns_of(contract: Contract) -> list[str]:
    """The columns that a table of labels may have: the ids and the target."""
    return [*contract.of_kind(ID), contract.target]


def join_labels(
    batch: pd.DataFrame, labels: pd.DataFrame, contract: Contract
) -> tuple[pd.DataFrame, int]:
    """Give rows the labels that have the same ids, compared as text.

    Args:
        batch: The rows; a label that they have already stays where the table has none.
        labels: The table of labels.
        contract: The contract; its columns of kind id that both tables have tell rows apart.

    Returns:
        The rows with the column of the target, and how many rows the table has a label for.

    Raises:
        UserError: As `labels_of`.
    """
    target = contract.target
    new = _values(labels_of(batch, labels, contract), contract)
    joined = int(new.notna().sum())
    if target in batch:
        new = new.where(new.notna(), _values(batch[target], contract))
    return batch.assign(**{target: new}), joined


def add_labels(rows: Path, labels: Path, contract: Contract) -> int:
    """Write labels into a table, to train with: they keep their type, as those of other rows do.

    Args:
        rows: The Parquet file of the table, which is replaced.
        labels: The Parquet file of the labels.
        contract: As for `join_labels`.

    Returns:
        How many rows got a label.

    Raises:
        UserError: As `labels_of`.
    """
    batch, target = read_table(rows), contract.target
    new = labels_of(batch, read_table(labels, columns_of(contract)), contract)
    joined = int(new.notna().sum())
    if target in batch and (old := batch[target].dropna()).size:
        new = new.astype("object").where(new.notna(), old.astype("object")).convert_dtypes()
        new = _values(new, contract) if new.dtype == "object" else new  # of two types
    batch.assign(**{target: new}).to_parquet(rows, index=False)
    return joined


def labels_of(batch: pd.DataFrame, labels: pd.DataFrame, contract: Contract) -> pd.Series:
    """The label of each row of a batch, null without one, with the type that the labels have.

    Raises:
        UserError: No id is in both tables, an id of the labels is not unique, or the labels lack
            the target.
    """
    ids, target = contract.of_kind(ID), contract.target
    common = [name for name in ids if name in batch and name in labels]
    if target not in labels:
        raise UserError(
            f"The labels (monitoring.labels_url) lack the target '{target}'; their columns are "
            f"{[*labels]}. Rename the column with the labels."
        )
    if not common:
        raise UserError(
            f"The labels (monitoring.labels_url) and the predictions have no id in common: the "
            f"contract's columns of kind id are {ids}, the labels have {[*labels]}. Add an id to "
            "both, and give it kind: id in the contract that the model is trained with."
        )
    known = labels[labels[target].notna() & labels[common].notna().all(axis="columns")]
    keys = _keys(known, common)
    if (twice := keys.duplicated()).any():
        raise UserError(
            f"The labels (monitoring.labels_url) have {keys[twice].iloc[0]} more than once in "
            f"{common} ({twice.sum()} such rows). Keep one label for each id."
        )
    # Whole numbers stay whole beside the nulls of rows without a label
    found = known[target].convert_dtypes().set_axis(pd.Index(keys, dtype="object"))
    return found.reindex(pd.Index(_keys(batch, common), dtype="object")).set_axis(batch.index)


def _keys(frame: pd.DataFrame, ids: list[str]) -> pd.Series:
    """The ids of each row; a row with a null among them has the key None."""
    texts = [to_text(frame[name]).astype("object") for name in ids]
    filled = frame[ids].notna().all(axis="columns")
    keys = [key if is_filled else None for *key, is_filled in zip(*texts, filled, strict=True)]
    joined = [None if key is None else ", ".join(map(repr, key)) for key in keys]
    return pd.Series(joined, index=frame.index, dtype="object")


def _values(column: pd.Series, contract: Contract) -> pd.Series:
    return to_text(column) if contract.is_classification else to_numbers(column)
