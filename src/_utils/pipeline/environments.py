"""Environments that MLflow makes: one process at a time makes one, and we note who uses it.

Beside an environment lies `<name>.users`, the repositories that use it. MLflow takes any folder of
the right name for a finished environment, so one whose creation was killed has to be removed.

Only the standard library is imported at the top: main.py looks for missing packages with this.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[3]  # of the repository
MADE_BY_MLFLOW = re.compile(r"mlflow-[0-9a-f]{40}")


def check_own() -> None:
    """Say in a line what to do if an import of main.py fails."""
    sys.excepthook = _tell_missing_package


def _tell_missing_package(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not isinstance(error, ImportError) or (error.name or "").startswith("_utils"):
        sys.__excepthook__(kind, error, trace)
        return
    cure = (
        "activate the environment first (source .venv/bin/activate), or let MLflow make one "
        "(mlflow run . --env-manager uv)."
    )
    if MADE_BY_MLFLOW.fullmatch(Path(sys.prefix).name):
        cure = (
            "the environment is unfinished. If no other process is making it, remove "
            f"{sys.prefix}, then run the same command again."
        )
    print(f"{sys.executable}: {error}: {cure}", file=sys.stderr)


@contextmanager
def one_at_a_time(conda_file: Path, env_manager: str) -> Iterator[None]:
    """Within this no other pipeline of this machine makes an environment.

    Args:
        conda_file: What the environment is made from.
        env_manager: As in MLflow: conda, virtualenv, or uv.
    """
    from filelock import FileLock, Timeout

    from _utils.internals import env_name

    root, name = env_root(), env_name(conda_file, env_manager)
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / "pipeline.lock")
    try:
        acquired = lock.acquire(timeout=0)
    except Timeout:
        print("Waiting for another pipeline, which is making an environment.", file=sys.stderr)
        acquired = lock.acquire()
    with acquired:
        for used in {name, env_name(ROOT / "conda.yml", env_manager)}:
            if ROOT not in users_of(used):
                with (root / f"{used}.users").open("a", encoding="utf-8", newline="\n") as file:
                    file.write(f"{ROOT}\n")
        is_new = not (root / name).exists()
        try:
            yield
        except BaseException:
            if is_new:  # MLflow would take what there is of it for finished
                shutil.rmtree(root / name, ignore_errors=True)
            raise


def users_of(name: str) -> set[Path]:
    """The repositories that use the environment of this name and still exist."""
    file = env_root() / f"{name}.users"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {Path(line) for line in lines if Path(line).is_dir()}


def env_root() -> Path:
    """Where MLflow makes environments by virtualenv and uv."""
    from mlflow.environment_variables import MLFLOW_ENV_ROOT

    return Path(MLFLOW_ENV_ROOT.get())
