"""Environment variables: the one place that writes those for child processes, and reads them.

"Environment variables" in MLpipeline.md says who writes each and what it says; a test compares.
"""

import io
import os
import sys
import sysconfig
from pathlib import Path


def tell(name: str, value: str | None, *, unless_set: bool = False) -> None:
    """Set a variable for this process and all that it starts; None removes it."""
    if value is None:
        os.environ.pop(name, None)
    elif not (unless_set and name in os.environ):
        os.environ[name] = value


def told(name: str, default: str = "") -> str:
    """The value of a variable; `default` if it is not set."""
    return os.environ.get(name, default)


def set_defaults() -> None:
    """Set what MLflow and Python read before MLflow is imported, unless the user has set it."""
    tell("MLFLOW_LOGGING_LEVEL", "WARNING", unless_set=True)
    tell("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true", unless_set=True)
    tell("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false", unless_set=True)
    tell("MLFLOW_DISABLE_TELEMETRY", "true", unless_set=True)  # it takes 0.4 s
    # A server that does not answer is asked again after 1, 2, 4, ... seconds, for a minute
    tell("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6", unless_set=True)
    tell("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1", unless_set=True)
    tell("PYTHONUNBUFFERED", "1", unless_set=True)  # the components' lines are shown as they come
    tell("PYTHONUTF8", "1", unless_set=True)  # Windows has another encoding for files and pipes
    tell("GIT_PYTHON_REFRESH", "quiet", unless_set=True)  # main.py itself says that git is missing
    use_utf8()
    # `python` and `pytest` in an MLproject are those of the environment that runs main.py, also
    # where it was not activated; conda, virtualenv and uv put the component's own before it
    own = [*dict.fromkeys([str(Path(sys.executable).parent), sysconfig.get_path("scripts")])]
    path = os.get_exec_path()
    if own != path[: len(own)]:  # a job of a sweep inherits what its parent has set
        tell("PATH", os.pathsep.join([*own, *path]))


def use_utf8() -> None:
    """Write UTF-8 to files and pipes, and `?` for what cannot be written."""
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper) and not sys.flags.utf8_mode:
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="replace")
