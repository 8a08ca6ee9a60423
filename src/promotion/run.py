"""Make a version of the model the champion by hand, whether newer or older than the champion."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import mlflow

from _utils.component import launch
from _utils.errors import UserError
from _utils.models.lineage import promote
from _utils.models.registry import CHAMPION, fetch_model, find_version


def go(args: argparse.Namespace) -> None:
    """Find both versions, and promote."""
    before = find_version(f"models:/{args.registered_model}@{CHAMPION}")
    version = find_version(f"models:/{args.registered_model}/{args.version}")
    if before and before.version == version.version:
        print(f"Version {version.version} of {version.name} is the champion already")
        return
    fetch_model(version)  # raises an error if its files were changed
    reason = f"by hand (before: {f'version {before.version}' if before else 'no champion'})"
    if not promote(version, reason, instead_of=before):
        raise UserError("Another pipeline has just promoted a version. Check it, then try again.")
    mlflow.set_tag("promotion", f"version {version.version}: {reason}")
    print(f"Version {version.version} of {version.name} is the champion, promoted {reason}")


if __name__ == "__main__":
    launch(go)
