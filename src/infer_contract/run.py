"""Guess what each column of a table is, and publish that as a contract that one can correct."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow
import pandas as pd

from _utils.artifacts import log_artifact
from _utils.component import launch, scratch_file, scratch_folder
from _utils.errors import UserError
from _utils.tabular.convert import recognise, to_parquet
from _utils.tabular.fetch import fetch
from _utils.tabular.inference import infer_contract, read_sample
from _utils.tabular.kinds import printable

SETTINGS = "settings.json"  # file of the run: values for config.yaml, by their keys
FEWEST = 10  # rows, and distinct ones with a target


def go(args: argparse.Namespace) -> None:
    """Fetch, look at the rows, print the guesses, publish."""
    file = fetch(args.data, scratch_folder())
    table = scratch_folder() / "parquet" / file.name  # messages name it
    table.parent.mkdir()
    dialect = recognise(file, args.csv)
    del dialect["null_words"]  # the contract's guesses say which words are nulls
    to_parquet(file, table, dialect)
    if found := [f"{key} {value!r}" for key, value in dialect.items() if value is not None]:
        print(f"The file is read with {', '.join(found)} (data.csv).")
    sample, rows = read_sample(table)
    if rows < FEWEST:
        raise UserError(
            f"The table has {rows} rows; to train and test, {FEWEST} are required. Add rows."
        )
    inferred = infer_contract(sample, args.target, rows)
    print_table(inferred.guesses)
    print(f"Task: {inferred.task} of '{args.target}', from {len(sample)} of {rows} rows.")
    if inferred.kept < len(sample):
        print(
            f"Cleaning will keep {inferred.kept} of {len(sample)} rows: it drops rows without a "
            "target, and all but one of equal rows."
        )
    if inferred.kept < FEWEST:
        raise UserError(f"To train and test, {FEWEST} such rows are required. Add rows.")
    if inferred.unknown_codes:
        codes = ", ".join(map(repr, inferred.unknown_codes))
        print(f"Cells with {codes} are read as null (cleaning.unknown_codes).")
    mlflow.log_metrics({"rows": rows, "columns": len(inferred.guesses)})
    settings = {f"data.csv.{key}": value for key, value in dialect.items() if value is not None}
    mlflow.log_dict(settings | inferred.settings(rows * inferred.kept // len(sample)), SETTINGS)
    contract = scratch_file(args.name)
    contract.write_text(inferred.contract, encoding="utf-8", newline="\n")
    log_artifact(contract, type="contract", description="What each column seems to be")


def print_table(table: pd.DataFrame) -> None:
    """Print texts in columns, each as wide as its longest text; the last is cut at 200 signs."""
    rows = [[*table.columns], *table.astype(str).values.tolist()]
    widths = [min(max(map(len, column)), 40) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
        print("  ".join([*padded, printable(last[:200])]))


if __name__ == "__main__":
    launch(go)
