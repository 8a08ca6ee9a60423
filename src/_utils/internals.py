"""Every non-public name of MLflow, Hydra and scikit-learn that this project uses.

Each function says why the name is needed and what breaks without it; `test_internals.py` tries all
of them, so a new version of a package is a job in this one file. The imports are inside the
functions because the environment of a component lacks Hydra, for example.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from mlflow.projects._project_spec import Project

# MLflow's system tags: https://mlflow.org/docs/latest/ml/tracking/tracking-api#system-tags
PARENT_RUN_ID = "mlflow.parentRunId"
RUN_NAME = "mlflow.runName"
RUN_NOTE = "mlflow.note.content"
PROJECT_ENV = "mlflow.project.env"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"


def load_mlproject(folder: Path) -> Project:
    """Read an MLproject as `mlflow run` does; without it the plan could differ from the run."""
    from mlflow.projects import _project_spec
    from mlflow.utils import conda, environment

    for module in _project_spec, conda, environment:  # Windows' own encoding is no UTF-8
        vars(module)["open"] = partial(open, encoding="utf-8")
    return _project_spec.load_project(str(folder))


def is_made_up_name(run_name: str) -> bool:
    """Tell a run name of MLflow's own making from one that a user typed with --run-name."""
    from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES

    first, _, rest = run_name.partition("-")
    return first in _GENERATOR_PREDICATES and rest.partition("-")[0] in _GENERATOR_NOUNS


@contextmanager
def outside_notebooks() -> Iterator[None]:
    """Within this MLflow does not import IPython, a tenth of a second, only to look for a notebook.

    A process that has not imported IPython itself is none.
    """
    is_unknown = "IPython" not in sys.modules
    if is_unknown:
        sys.modules["IPython"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_unknown:
            del sys.modules["IPython"]


def tracking_app(store_uri: str, artifact_root: str) -> Any:
    """MLflow's tracking server as a Flask app; `mlflow server` would cost a second process."""
    # At each search for runs MLflow tries to import what knows its users, of which there are none
    # here: a second each time, and in vain, for the last of its dependencies is missing
    sys.modules["mlflow.server.auth"] = None  # type: ignore[assignment]
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")
    from mlflow.server import app, handlers
    from mlflow.server.security import init_security_middleware

    handlers.initialize_backend_stores(store_uri, store_uri, artifact_root)
    init_security_middleware(app)
    return app


@cache
def env_name(folder: Path, env_manager: str) -> str:
    """The name that MLflow gives the environment of the project in this folder, read as it does."""
    from mlflow.utils.conda import _get_conda_env_name
    from mlflow.utils.environment import _PythonEnv
    from mlflow.utils.virtualenv import _get_virtualenv_name

    project = load_mlproject(folder)
    file = project.env_config_path
    if env_manager == "conda":
        return _get_conda_env_name(file)
    is_conda = project.env_type == "conda_env"
    read = _PythonEnv.from_conda_yaml if is_conda else _PythonEnv.from_yaml
    return _get_virtualenv_name(read(file) if file else _PythonEnv(), folder)


@contextmanager
def environment_output(read: Callable[[str], object]) -> Iterator[None]:
    """Within this, `read` gets what conda, pip, pyenv and uv print while MLflow calls them.

    They write to the terminal otherwise; no public function makes an environment.
    """
    from mlflow.utils import process, virtualenv

    execute = process._exec_cmd

    def execute_quietly(command: Any, *, capture_output: bool = True, **options: Any) -> Any:
        if capture_output:
            return execute(command, **options)
        read(f"$ {command if isinstance(command, str) else shlex.join(map(str, command))}\n")
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        options |= {"encoding": "utf-8", "errors": "replace", "synchronous": False}
        started = execute(command, capture_output=False, **options)
        with started.stdout as output:
            for line in output:
                read(line)
        ended = subprocess.CompletedProcess(started.args, started.wait())
        if ended.returncode:
            raise shell_error().from_completed_process(ended)  # type: ignore[attr-defined]
        return ended

    process._exec_cmd = virtualenv._exec_cmd = execute_quietly  # type: ignore[assignment]
    try:
        yield
    finally:
        process._exec_cmd = virtualenv._exec_cmd = execute


def conda_command() -> str:
    """The conda that MLflow calls, by MLFLOW_CONDA_HOME or the PATH."""
    from mlflow.utils.conda import get_conda_bin_executable

    return get_conda_bin_executable("conda")


def process_of(started: Any) -> subprocess.Popen | None:
    """The process of a component on this machine; None if another machine runs it."""
    from mlflow.projects.submitted_run import LocalSubmittedRun

    return started.command_proc if isinstance(started, LocalSubmittedRun) else None


def shell_error() -> type[Exception]:
    """What MLflow raises if conda or uv fails to make an environment."""
    from mlflow.utils.process import ShellCommandException

    return ShellCommandException


def backend_parts() -> tuple[Any, Any]:
    """Where MLflow starts a component's command, and its backends by name.

    The public entry points for backends know neither how a command is started nor another `local`.
    """
    from mlflow.projects.backend import loader, local

    return local, loader


def start_commands_by(start: Callable[..., Any]) -> None:
    """Let this function start a component's command, in place of MLflow's."""
    backend_parts()[0]._run_entry_point = start


def run_for_project(experiment_id: str, uri: str, entry_point: str, params: dict[str, str]) -> str:
    """Make the run of a component as `mlflow.run` does; returns its id."""
    from mlflow.projects.utils import get_or_create_run

    return get_or_create_run(None, uri, experiment_id, uri, None, entry_point, params).info.run_id


def scoring_server() -> Any:
    """MLflow's scoring server as a module; `mlflow models serve` cannot follow an alias."""
    from mlflow.pyfunc import scoring_server

    return scoring_server


def check_parameters(estimator: Any) -> None:
    """Raise ValueError if a parameter of a scikit-learn estimator is wrong, as fit() does first."""
    estimator._validate_params()


def hydra_flags() -> Any:
    """The parser of Hydra's command line; the public API takes no arguments."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def is_hydra_flag(option: str) -> bool:
    """Whether Hydra's command line has an option such as `--multirun`."""
    return option in hydra_flags()._option_string_actions


def parse_overrides(texts: list[str]) -> list[Override]:
    """Read overrides by Hydra's own grammar, so that main.py refuses what Hydra would refuse."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    loader = GlobalHydra.instance().config_loader() if GlobalHydra().is_initialized() else None
    return OverridesParser.create(config_loader=loader).parse_overrides(texts)


def quoted(text: str) -> str:
    """A text in the quotes of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def split_sweep(overrides: list[Override]) -> list[Any]:
    """The jobs of a grid, as Hydra's basic sweeper will make them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    return BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
