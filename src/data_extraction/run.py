"""Fetch the data and its contract; publish the data unchanged, as one Parquet file."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import log_artifact, use_artifact
from _utils.component import launch, scratch_file, scratch_folder
from _utils.errors import UserError
from _utils.tabular.appending import append, check_labels
from _utils.tabular.contract import write_contract
from _utils.tabular.convert import to_parquet
from _utils.tabular.drift.labels import add_labels
from _utils.tabular.fetch import fetch


def go(args: argparse.Namespace) -> None:
    """Fetch, convert, publish; the contract is read first, since a fault of it is found at once."""
    contract = scratch_file(args.contract_name) if args.contract_url else None
    if contract:
        written = fetch(args.contract_url, scratch_folder() / "contract")
        said = write_contract(written, args.contract, contract)
    elif args.labels_url:
        raise UserError("labels_url needs a contract, whose ids tell rows apart. Set contract_url.")
    target = scratch_file(args.artifact_name)
    downloaded = fetch(args.file_url, scratch_folder())
    rows = to_parquet(downloaded, target, args.csv)
    if args.labels_url:
        labels = scratch_folder() / "labels.parquet"
        to_parquet(fetch(args.labels_url, scratch_folder() / "labels"), labels)
        print(f"{add_labels(target, labels, said)} of {rows} rows got a label that arrived later")
    if args.add_to_artifact:
        new = target.rename(scratch_folder() / "new.parquet")
        if contract:
            check_labels(new, said.target)
        rows = append(new, use_artifact(args.add_to_artifact), target)
    mlflow.log_metric("rows", rows)
    log_artifact(target, type=args.artifact_type, description=args.artifact_description)
    if contract:
        log_artifact(contract, type="contract", description="What each column is")


if __name__ == "__main__":
    launch(go)
