"""Environments that MLflow makes: one process at a time makes one, and we note who uses it.

Beside an environment lies `<name>.users`, the repositories that use it. MLflow takes any folder of
the right name for a finished environment, so one whose creation was killed has to be removed.

As a script this file removes the environments that only this project uses, and nothing else:

mlflow run . -e clean_envs               lists them, and asks
mlflow run . -e clean_envs -P yes=true   removes them

Only the standard library is imported at the top: main.py looks for missing packages with this.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[3]  # of the repository
MADE_BY_MLFLOW = re.compile(r"mlflow-[0-9a-f]{40}")


def tell_missing_package(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say in a line what to do if an import of main.py fails; this is a `sys.excepthook`."""
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
    """Within this no other pipeline of this machine makes an environment."""
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


def clean(yes: bool) -> None:
    """List the environments of this project, ask, remove them; the one of this process stays."""
    from _utils.internals import conda_command

    conda = shutil.which(conda_command())
    prefixes = [*env_root().glob("mlflow-*")]
    if conda:
        listed = subprocess.run([conda, "env", "list", "--json"], capture_output=True, check=True)
        prefixes += map(Path, json.loads(listed.stdout)["envs"])
    prefixes = [each for each in prefixes if users_of(each.name) == {ROOT}]
    prefixes = [each for each in prefixes if each.is_dir() and not each.is_symlink()]
    print("\n".join(map(str, prefixes)) or f"MLflow has no environments that only {ROOT} uses.")
    if prefixes and not yes and sys.stdin.isatty():
        yes = input(f"Remove these {len(prefixes)} environments? [y/N] ").strip().lower() == "y"
    if prefixes and not yes:
        print("Nothing was removed: mlflow run . -e clean_envs -P yes=true removes them.")
        return
    for prefix in prefixes:
        if prefix == Path(sys.prefix):
            print(f"{prefix} stays, for this runs in it: --env-manager local removes it too.")
            continue
        if conda and (prefix / "conda-meta").is_dir():
            subprocess.run([conda, "env", "remove", "--yes", "--prefix", str(prefix)], check=True)
        shutil.rmtree(prefix, ignore_errors=True)
        (env_root() / f"{prefix.name}.users").unlink(missing_ok=True)
        print(f"Could not remove {prefix}" if prefix.exists() else f"Removed {prefix.name}")


if __name__ == "__main__":
    sys.path.append(str(ROOT / "src"))  # where _utils lies
    parser = argparse.ArgumentParser(description="Remove environments that only this project uses")
    parser.add_argument("--yes", nargs="?", const="true", default="", help="do not ask")
    clean(parser.parse_args().yes.lower() in ("true", "yes", "1"))
