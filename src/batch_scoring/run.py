"""Score any number of rows with the model in use; list the rows that cannot be scored."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.artifacts import log_artifact, use_artifact
from _utils.artifacts.digests import digest_of
from _utils.component import launch, scratch_file, scratch_folder
from _utils.errors import UserError
from _utils.example import find_rules
from _utils.models import load_model
from _utils.models.registry import fetch_model, model_in_use
from _utils.tabular.chunks import columns_outside, score_file
from _utils.tabular.contract import contract_of
from _utils.tabular.convert import to_parquet
from _utils.tabular.fetch import fetch

# At some 4 kB a row while it is scored, a chunk takes 200 MB
CHUNK_ROWS = 50_000


def go(args: argparse.Namespace) -> None:
    """Fetch, score, publish."""
    version = model_in_use(args.model)
    folder = fetch_model(version)
    model, contract = load_model(folder), contract_of(folder)
    source = fetch_input(args)
    versions = {"model_version": str(version.version), "input_version": digest_of(source)[:12]}
    scored = scratch_file(args.predictions_artifact)
    rejected = scratch_file(args.rejected_artifact)
    counts, reasons = score_file(
        source,
        model,
        contract,
        scored,
        rejected,
        versions=versions,
        chunk_rows=CHUNK_ROWS,
        unknown_codes=args.unknown_codes or [],
        rules=getattr(find_rules(args.rules), "correct", None),
    )
    mlflow.log_metrics(counts)
    mlflow.set_tags(versions)
    if unknown := columns_outside(source, contract):
        print(f"Columns that the contract lacks are kept, and not used: {unknown}")
    name = f"{version.name} version {version.version}"
    log_artifact(scored, type="predictions", description=f"By {name}")
    log_artifact(rejected, type="rejected", description="Rows without a prediction, and why")
    print(f"{name} scored {counts['scored']} of {counts['rows']} rows")
    for reason, number in reasons.most_common(5):
        print(f"Not scored: {number} ({reason})")


def fetch_input(args: argparse.Namespace) -> Path:
    """The rows to score as a Parquet file, from the URL or from the artifact."""
    url, artifact = args.input_url or "", args.input_artifact or ""
    if bool(url) == bool(artifact):
        raise UserError(
            f"input_url is '{url}' and input_artifact is '{artifact}': set one of them, and leave "
            "the other empty ('')."
        )
    if args.input_artifact:
        return use_artifact(args.input_artifact)
    target = scratch_folder() / "input.parquet"
    to_parquet(fetch(args.input_url, scratch_folder() / "download"), target, args.csv)
    return target


if __name__ == "__main__":
    launch(go)
