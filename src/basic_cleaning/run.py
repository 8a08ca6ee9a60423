"""Clean the raw data as its contract says, in ways that suit any model."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import log_artifact, use_artifact
from _utils.component import launch, scratch_file
from _utils.example import find_rules
from _utils.tabular.cleaning import clean
from _utils.tabular.contract import read_contract
from _utils.tabular.tables import read_table


def go(args: argparse.Namespace) -> None:
    """Fetch, clean, publish."""
    contract = read_contract(use_artifact(args.contract))
    raw = read_table(use_artifact(args.input_artifact))
    correct = getattr(find_rules(args.rules), "correct", None)
    cleaned, counts = clean(raw, contract, args.unknown_codes or [], correct)
    mlflow.log_metrics(counts)
    if dropped := counts["without_target"]:
        print(f"{dropped} of {len(raw)} rows have no {contract.target}, and are dropped")
    if equal := counts["duplicates"]:
        print(f"{equal} of {len(raw)} rows are equal to others, and are dropped")
    if unknown := [name for name in raw if name not in contract.columns]:
        print(f"Columns that the contract lacks are kept, and not used: {unknown}")
    target = scratch_file(args.output_artifact)
    cleaned.to_parquet(target, index=False)
    log_artifact(target, type=args.output_type, description=args.output_description)


if __name__ == "__main__":
    launch(go)
