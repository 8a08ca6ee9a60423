"""Clean the raw data, in ways that suit any model."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import log_artifact, use_artifact
from _utils.component import launch, scratch_file
from _utils.example.cleaning import clean
from _utils.tabular.tables import read_table


def go(args: argparse.Namespace) -> None:
    """Fetch, clean, publish."""
    raw = read_table(use_artifact(args.input_artifact))
    cleaned, counts = clean(
        raw,
        unknown_codes=args.unknown_codes or [],
        min_comb_mpg=args.min_comb_mpg,
        max_comb_mpg=args.max_comb_mpg,
        max_engine_displacement=args.max_engine_displacement,
    )
    mlflow.log_metrics(counts)
    target = scratch_file(args.output_artifact)
    cleaned.to_parquet(target, index=False)
    log_artifact(target, type=args.output_type, description=args.output_description)


if __name__ == "__main__":
    launch(go)
