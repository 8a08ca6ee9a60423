"""Environments that MLflow makes: one process at a time makes one, and half-made ones are mended.

MLflow takes any folder of the right name for a finished environment, also one that another process
is still filling, or whose creation was killed. Here a finished one has a mark in it.

Only the standard library is imported at the top: main.py mends its own environment with this.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # of the repository
MARK = "complete"  # a file in a finished environment: the repositories that use it, a line each
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"


def complete_own(conda_file: Path) -> None:
    """Mend the environment that this process runs in, if MLflow made it and it is half-made.

    Where it is another that lacks what main.py needs, say so and exit.
    """
    prefix = Path(sys.prefix)
    if prefix.name.startswith("mlflow-"):
        complete(prefix, conda_file)
        importlib.invalidate_caches()
    if not importlib.util.find_spec("hydra"):
        sys.exit(
            f"{sys.executable} has no package hydra: activate the environment first "
            "(source .venv/bin/activate), or let MLflow make one (mlflow run . --env-manager uv)."
        )


def complete(prefix: Path, conda_file: Path) -> None:
    """Install what a half-made environment lacks. It costs nothing once that was done.

    Args:
        prefix: The environment's folder, with a Python in it.
        conda_file: What it is to be made of; its `pip:` list counts.
    """
    if (prefix / MARK).exists():
        mark(prefix)
        return
    checking = f"Checking the new environment {prefix.name}; if another run makes it, waiting."
    print(checking, file=sys.stderr)
    # Of these two only uv waits for another process that installs into the same environment.
    uv = ["uv", "pip", "install", "--quiet", "--python", str(prefix / PYTHON)]
    pip = [str(prefix / PYTHON), "-m", "pip", "install", "--quiet"]
    install, again = (uv, "--reinstall") if shutil.which("uv") else (pip, "--force-reinstall")
    _, _, listed = conda_file.read_text(encoding="utf-8").partition("- pip:")
    requirements = re.findall(r"^ +- ['\"]?(.*?)['\"]?(?: *#.*)?$", listed, re.MULTILINE)
    subprocess.run([*install, *requirements], check=True)
    if not _is_whole(prefix):
        subprocess.run([*install, again, *requirements], check=True)
    mark(prefix)


def mark(prefix: Path) -> None:
    """Let an environment say that it is finished, and that this repository uses it."""
    if ROOT not in users_of(prefix):
        with (prefix / MARK).open("a", encoding="utf-8") as file:
            file.write(f"{ROOT}\n")


def users_of(prefix: Path) -> set[Path]:
    """The repositories that use an environment, of those that are still there."""
    with suppress(OSError):
        lines = (prefix / MARK).read_text(encoding="utf-8").splitlines()
        return {Path(line) for line in lines if Path(line).is_dir()}
    return set()


def _is_whole(prefix: Path) -> bool:
    """Tell whether all files are there that the installed packages list as theirs."""
    folders = [str(folder) for folder in prefix.rglob("site-packages")]
    return all(
        package.files and all(Path(file.locate()).exists() for file in package.files)
        for package in distributions(path=folders)
    )


@contextmanager
def one_at_a_time(conda_file: Path, env_manager: str) -> Iterator[None]:
    """Within this, MLflow may make the environment of a component: others wait, and say so.

    Args:
        conda_file: What the environment is made of.
        env_manager: As in MLflow: conda, virtualenv, or uv.
    """
    from filelock import FileLock, Timeout
    from mlflow.environment_variables import MLFLOW_ENV_ROOT

    root = Path(MLFLOW_ENV_ROOT.get())
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / "pipeline.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("Another pipeline is making an environment: waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        prefix = _prefix_of(conda_file, env_manager, root)
        if prefix and (prefix / PYTHON).exists():
            complete(prefix, conda_file)
        elif prefix:
            shutil.rmtree(prefix, ignore_errors=True)
        yield
        if prefix := prefix or _prefix_of(conda_file, env_manager, root):
            mark(prefix)
    finally:
        lock.release()


def _prefix_of(conda_file: Path, env_manager: str, root: Path) -> Path | None:
    """Where MLflow has or will have the environment; None if conda does not have it yet."""
    from mlflow.utils.conda import _get_conda_env_name, get_conda_bin_executable
    from mlflow.utils.environment import _PythonEnv
    from mlflow.utils.virtualenv import _get_virtualenv_name

    if env_manager != "conda":
        python_env = _PythonEnv.from_conda_yaml(str(conda_file))
        return root / _get_virtualenv_name(python_env, conda_file.parent)
    command = [get_conda_bin_executable("conda"), "env", "list", "--json"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    name = _get_conda_env_name(str(conda_file))
    return next((Path(p) for p in json.loads(listed)["envs"] if Path(p).name == name), None)
