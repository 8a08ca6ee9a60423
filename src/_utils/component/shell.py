"""Artifacts and tags for components that are not Python.

python ../_utils/component/shell.py use raw_data.parquet:latest    prints the file's path
python ../_utils/component/shell.py log result.txt --type text     publishes a file or folder
python ../_utils/component/shell.py tag job_type cleaning          tags the component's run
python ../_utils/component/shell.py resolve -- '--a=${oc.env:A}'   prints the resolved text
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

from mlflow import MlflowClient

from _utils.artifacts import current_run_id, log_artifact, use_artifact
from _utils.errors import UserError, explain
from _utils.variables import resolved_argument


def main(arguments: list[str]) -> None:
    """Do what the command line says, for the run that MLflow launched the component in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("use").add_argument("reference", help="name:version")
    log = verbs.add_parser("log")
    log.add_argument("path", help="file or folder")
    log.add_argument("--type", required=True, help="kind of artifact, such as raw_data")
    log.add_argument("--description", default="", help="one sentence about it")
    tag = verbs.add_parser("tag")
    tag.add_argument("key")
    tag.add_argument("value")
    verbs.add_parser("resolve").add_argument("argument")
    args = parser.parse_args(arguments)
    match args.verb:
        case "use":
            print(use_artifact(args.reference))
        case "log":
            log_artifact(args.path, type=args.type, description=args.description)
        case "tag":
            MlflowClient().set_tag(current_run_id(), args.key, args.value)
        case "resolve":
            print(resolved_argument(args.argument))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(explain(error))
