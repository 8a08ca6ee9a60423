"""What a component runs in: run.py by `launch`, notebooks by notebook.py, others by shell.py."""

import argparse
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NoReturn

import mlflow

from _utils.artifacts.index import check_name
from _utils.artifacts.stores import component_run
from _utils.environment import tell, use_utf8
from _utils.errors import UserError, explain
from _utils.internals import PROJECT_ENV
from _utils.masking import without_secrets
from _utils.project import Parameter, check_is_active, read_project
from _utils.variables import resolved, resolved_argument

# Windows cannot remove a file that is open, as long as this process runs
_scratch = tempfile.TemporaryDirectory(prefix="component-", ignore_cleanup_errors=True)


def scratch_folder() -> Path:
    """A folder for temporary files, such as the artifacts to publish; launch removes it."""
    return Path(_scratch.name)


def scratch_file(name: str) -> Path:
    """Where to write the file, or the folder, that becomes the artifact of this name.

    Raises:
        UserError: No artifact can have this name.
    """
    folder = scratch_folder() / "artifacts"  # apart from the component's other files
    folder.mkdir(exist_ok=True)
    return folder / check_name(name)


def launch(
    go: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser | None = None
) -> NoReturn:
    """Parse the command line, run `go` in the component's MLflow run, and end the process.

    The parameters and their types are those of the MLproject beside the script, unless there is a
    parser. A UserError is printed as its message alone, any other error with its traceback. Both
    leave the traceback in the run, as `traceback.txt`, and the exit status 1.
    """
    if {"-h", "--help"} & {*sys.argv[1:]}:
        (parser or declared_parser(go)).parse_args(["--help"])
    use_utf8()
    exit_code = 1
    # So that launch also removes what is downloaded, here or by a notebook's kernel
    for name in ("TMPDIR", "TEMP", "TMP"):
        tell(name, _scratch.name)
    tempfile.tempdir = _scratch.name
    try:
        run = mlflow.start_run()
        run_id = run.info.run_id
        check_is_active(run.data.tags.get(PROJECT_ENV, "local"))
        mlflow.log_text(installed_packages(), "requirements.txt")
        words = [resolved_argument(word) for word in sys.argv[1:]] if parser else sys.argv[1:]
        parser = parser or declared_parser(go)
        parser.error = refuse_arguments  # type: ignore[method-assign]
        parser.allow_abbrev = False
        args = parser.parse_args(words)
        with component_run(run_id):
            go(args)
        mlflow.end_run("FINISHED")
        exit_code = 0
    except BaseException as error:  # sys.exit() too, which MLflow would record as FINISHED
        print(explain(error), file=sys.stderr)
        with suppress(Exception):  # the error is printed already
            mlflow.log_text(without_secrets(traceback.format_exc()), "traceback.txt")
        with suppress(Exception):
            mlflow.end_run("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
    _scratch.cleanup()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python's own exit takes half a second to tear down the 2,000 modules that MLflow imports
    os._exit(exit_code)


def declared_parser(go: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    """A parser for the parameters of the MLproject; the script's docstring is its help."""
    folders = [Path(sys.argv[0]).resolve().parent, Path.cwd()]
    folder = next((each for each in folders if (each / "MLproject").is_file()), folders[0])
    parser = argparse.ArgumentParser(description=sys.modules[go.__module__].__doc__)
    for name, options in declared_options(folder).items():
        parser.add_argument(f"--{name}", **options)
    return parser


def declared_options(folder: Path) -> dict[str, dict[str, Any]]:
    """The parameters of a folder's MLproject, by name, as argparse and pytest take options."""
    options = {}
    for name, parameter in read_project(folder).parameters.items():
        default = f" (default: {parameter.default})" if parameter.default else ""
        options[name] = {
            "type": partial(_read, parameter),
            "default": parameter.default,
            "required": parameter.default is None,
            "metavar": parameter.type,
            "help": f"{parameter.description}{default}".replace("%", "%%"),
        }
    return options


def _read(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.parse(resolved(text))
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def refuse_arguments(message: str) -> NoReturn:
    """Raise UserError for what argparse refuses."""
    raise UserError(f"{message.rstrip('.')}. See the component's parameters in its MLproject.")


def installed_packages() -> str:
    """The packages of this environment as lines `name==version`, sorted."""
    lines = set()
    for package in distributions():  # `package.metadata` would parse all of it, which takes longer
        text = package.read_text("METADATA") or package.read_text("PKG-INFO") or ""
        fields = dict(re.findall(r"^(Name|Version): *(.*?)\s*$", text, re.MULTILINE)[:2])
        lines.add(f"{fields.get('Name')}=={fields.get('Version')}")
    return "\n".join(sorted(lines, key=str.lower)) + "\n"
