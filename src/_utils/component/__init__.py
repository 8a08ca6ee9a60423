"""What the run.py of a component works in: its MLflow run, a scratch folder, and clear errors."""

import argparse
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import NoReturn

import mlflow

from _utils.artifacts.index import check_name
from _utils.artifacts.stores import component_run
from _utils.environment import tell
from _utils.errors import UserError, explain
from _utils.variables import resolved_argument, without_secrets

_scratch = tempfile.TemporaryDirectory(prefix="component-")


def scratch_folder() -> Path:
    """A folder for files on their way into artifacts; it is gone when the component ends."""
    return Path(_scratch.name)


def scratch_file(name: str) -> Path:
    """Where to write the file, or the folder, that becomes the artifact of this name.

    Raises:
        UserError: No artifact can have this name.
    """
    folder = scratch_folder() / "artifacts"  # apart from what the component has there itself
    folder.mkdir(exist_ok=True)
    return folder / check_name(name)


def launch(go: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> NoReturn:
    """Parse the command line, run `go` in the component's MLflow run, and end the process.

    A UserError is told as its message alone, anything else with its traceback; both leave the
    traceback in the run, as `traceback.txt`, and the exit status 1.
    """
    args = fault = None
    parser.error = refuse_arguments  # type: ignore[method-assign]
    parser.allow_abbrev = False  # an unknown parameter is not another one's beginning
    try:
        args = parser.parse_args([resolved_argument(word) for word in sys.argv[1:]])
    except UserError as error:
        fault = error
    exit_code = 1
    # So that what is downloaded, here or by a notebook's kernel, is gone at the end
    for name in ("TMPDIR", "TEMP", "TMP"):
        tell(name, _scratch.name)
    tempfile.tempdir = _scratch.name
    try:
        run_id = mlflow.start_run().info.run_id
        mlflow.log_text(installed_packages(), "requirements.txt")
        if fault:
            raise fault
        with component_run(run_id):
            go(args)
        mlflow.end_run("FINISHED")
        exit_code = 0
    except BaseException as error:  # sys.exit() too: MLflow would take it for a good end
        print(explain(error), file=sys.stderr)
        with suppress(Exception):  # what is wrong is told already
            mlflow.log_text(without_secrets(traceback.format_exc()), "traceback.txt")
        with suppress(Exception):
            mlflow.end_run("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
    _scratch.cleanup()
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own end takes about half a second, for it takes down the 2,000 modules
    # that MLflow imports one by one; there is nothing left to save.
    os._exit(exit_code)


def refuse_arguments(message: str) -> NoReturn:
    """Tell what argparse finds wrong the way all faults are told."""
    raise UserError(f"{message}. See the component's parameters in its MLproject.")


def installed_packages() -> str:
    """The packages of this environment as lines `name==version`, sorted."""
    # `package.name` and `package.version` would each read the metadata anew
    read = (package.metadata for package in distributions())
    lines = {f"{package['Name']}=={package['Version']}" for package in read}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Names for metrics and files, on any system, by the names of columns that they are about.

    MLflow refuses most signs in them, so that `displacement (l)` becomes `displacement _l_`.
    """
    plain: dict[str, str] = {}
    for name in names:
        new = re.sub(r"[^\w .-]", "_", name)[:200]  # MLflow takes 250, and there is a prefix
        while new in plain.values():
            new += "_"
        plain[name] = new
    return plain
