"""Split the cleaned data into rows to train on and rows to test on."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import log_artifact, use_artifact
from _utils.component import launch, scratch_file
from _utils.tabular.contract import read_contract
from _utils.tabular.splitting import split
from _utils.tabular.tables import read_table


def go(args: argparse.Namespace) -> None:
    """Fetch, split, publish both parts."""
    contract = read_contract(use_artifact(args.contract))
    cleaned = read_table(use_artifact(args.input_artifact))
    train, test = split(cleaned, contract, test_size=args.test_size, seed=args.seed)
    mlflow.log_metrics({"train_rows": len(train), "test_rows": len(test)})
    for part, name, purpose in [
        (train, args.train_artifact, "train on"),
        (test, args.test_artifact, "test on"),
    ]:
        target = scratch_file(name)
        part.to_parquet(target, index=False)
        log_artifact(target, type="split_data", description=f"Rows to {purpose}")


if __name__ == "__main__":
    launch(go)
