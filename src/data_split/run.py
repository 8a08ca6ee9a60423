"""Split the cleaned data into rows to train on and rows to test on."""

import argparse
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import log_artifact, use_artifact
from _utils.component import launch, scratch_file
from _utils.example.splitting import split
from _utils.tabular.tables import read_table


def go(args: argparse.Namespace) -> None:
    """Fetch, split, publish both parts."""
    cleaned = read_table(use_artifact(args.input_artifact))
    train, test = split(
        cleaned,
        test_size=args.test_size,
        group_by=args.group_by,
        stratify_by=args.stratify_by or None,
        seed=args.seed,
    )
    mlflow.log_metrics({"train_rows": len(train), "test_rows": len(test)})
    for part, name, purpose in [
        (train, args.train_artifact, "train on"),
        (test, args.test_artifact, "test on"),
    ]:
        target = scratch_file(name)
        part.to_parquet(target, index=False)
        log_artifact(target, type="split_data", description=f"Rows to {purpose}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input_artifact", required=True, help="cleaned data, as name:version")
    parser.add_argument("--train_artifact", required=True, help="name of the train data to make")
    parser.add_argument("--test_artifact", required=True, help="name of the test data to make")
    parser.add_argument("--test_size", type=float, required=True, help="share of the rows")
    parser.add_argument("--group_by", type=json.loads, required=True, help="columns, JSON list")
    parser.add_argument("--stratify_by", required=True, help="column; empty for none")
    parser.add_argument("--seed", type=int, required=True, help="seed of the random split")
    launch(go, parser)
