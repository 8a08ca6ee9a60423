"""Clean the raw data of what is wrong with it for any model."""

import argparse
import json
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
        unknown_codes=args.unknown_codes,
        min_comb_mpg=args.min_comb_mpg,
        max_comb_mpg=args.max_comb_mpg,
        max_engine_displacement=args.max_engine_displacement,
    )
    mlflow.log_metrics(counts)
    target = scratch_file(args.output_artifact)
    cleaned.to_parquet(target, index=False)
    log_artifact(target, type=args.output_type, description=args.output_description)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input_artifact", required=True, help="the raw data, as name:version")
    parser.add_argument("--output_artifact", required=True, help="name of the artifact to make")
    parser.add_argument("--output_type", required=True, help="what kind of thing it is")
    parser.add_argument("--output_description", required=True, help="one sentence about it")
    parser.add_argument("--unknown_codes", type=json.loads, help="codes for 'not known', JSON list")
    parser.add_argument("--min_comb_mpg", type=float, required=True, help="lower limit, mpg")
    parser.add_argument("--max_comb_mpg", type=float, required=True, help="upper limit, mpg")
    parser.add_argument("--max_engine_displacement", type=float, required=True, help="litres")
    launch(go, parser)
