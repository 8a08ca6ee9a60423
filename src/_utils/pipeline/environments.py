"""Environments that MLflow makes: one process at a time makes one, and we note who uses it.

Beside an environment lies `<name>.users`, the repositories that use it. MLflow takes any folder of
the right name for a finished environment, so one whose creation was killed has to be removed.

`mlflow run . -e clean_envs` runs this file, which removes those that only this project uses.
Only the standard library is imported at the top: main.py looks for missing packages with this.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _utils.pipeline.log import Log

ROOT = Path(__file__).resolve().parents[3]  # of the repository
# By environment manager: the command that MLflow calls, and where it comes from
COMMANDS = {
    "conda": ("conda", "https://docs.conda.io"),
    "uv": ("uv", "pip install uv"),
    "virtualenv": ("pyenv", "https://github.com/pyenv/pyenv#installation"),
}


def tell_missing_package(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say in a line what to do if an import of main.py fails; this is a `sys.excepthook`."""
    if not isinstance(error, ImportError) or (error.name or "").startswith("_utils"):
        sys.__excepthook__(kind, error, trace)
        return
    cure = (
        "activate the environment first, start with `python tasks.py run`, or let MLflow make an "
        "environment (mlflow run . --env-manager uv)."
    )
    if Path(sys.prefix).name.startswith("mlflow-"):
        cure = (
            "the environment is unfinished. If no other process is making it, remove "
            f"{sys.prefix}, then run the same command again."
        )
    print(f"{sys.executable}: {error}: {cure}", file=sys.stderr)


@contextmanager
def made_quietly(folder: Path, env_manager: str, log: "Log") -> Iterator[None]:
    """Within this MLflow may make the environment of the component in this folder.

    One line shows what conda, pip or uv are doing. What they print is in the log, with the time
    that all of this takes. An environment that is not finished is removed, for MLflow would use it.
    """
    from rich.markup import escape
    from rich.progress import Progress, TimeElapsedColumn

    from _utils.internals import env_name, environment_output
    from _utils.pipeline.report import console

    start, message, is_shown = time.monotonic(), "    making its environment", log.shown
    columns = message, TimeElapsedColumn(), "{task.description}"
    progress = Progress(*columns, console=console, transient=True, disable=console.quiet)

    def read(line: str) -> None:
        if not progress.tasks:
            if not console.is_terminal:
                console.print(message, style="dim")
            progress.start()
            progress.add_task("")
            log.shown = False
        log.write(line.encode())
        progress.update(progress.task_ids[0], description=escape(line.strip()[:40]))

    with one_at_a_time(folder, env_manager), environment_output(read):
        try:
            yield
            log.shown = is_shown
        except BaseException:
            with suppress(Exception):  # the error itself is told
                name = env_name(folder, env_manager)
                remove([each for each in prefixes() if each.name == name and progress.tasks])
            raise
        finally:
            progress.stop()
            log.preparing = time.monotonic() - start


@contextmanager
def one_at_a_time(folder: Path, env_manager: str) -> Iterator[None]:
    """Within this no other pipeline of this machine makes an environment."""
    from filelock import FileLock, Timeout

    from _utils.internals import env_name

    root = env_root()
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / "pipeline.lock")
    try:
        acquired = lock.acquire(timeout=0)
    except Timeout:
        print("Waiting for another pipeline, which is making an environment.", file=sys.stderr)
        acquired = lock.acquire()
    with acquired:
        for used in {env_name(folder, env_manager), env_name(ROOT, env_manager)}:
            if ROOT not in users_of(used):
                with (root / f"{used}.users").open("a", encoding="utf-8", newline="\n") as file:
                    file.write(f"{ROOT}\n")
        yield


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
    own = [each for each in prefixes() if users_of(each.name) == {ROOT}]
    print("\n".join(map(str, own)) or f"MLflow has no environments that only {ROOT} uses.")
    if own and not yes and sys.stdin.isatty():
        yes = input(f"Remove these {len(own)} environments? [y/N] ").strip().lower() == "y"
    if own and not yes:
        print("Nothing was removed: mlflow run . -e clean_envs -P yes=true removes them.")
        return
    if Path(sys.prefix) in own:
        print(f"{sys.prefix} stays, for this runs in it: --env-manager local removes it too.")
        own.remove(Path(sys.prefix))
    remove(own)
    for prefix in own:
        (env_root() / f"{prefix.name}.users").unlink(missing_ok=True)
        print(f"Could not remove {prefix}" if prefix.exists() else f"Removed {prefix.name}")


def prefixes() -> list[Path]:
    """The environments that MLflow, or anybody with conda, has made on this machine."""
    found = [*env_root().glob("mlflow-*")]
    if conda := command_of("conda"):
        listed = subprocess.run([conda, "env", "list", "--json"], capture_output=True, check=True)
        found += map(Path, json.loads(listed.stdout)["envs"])
    return [each for each in found if each.is_dir() and not each.is_symlink()]


def remove(environments: list[Path]) -> None:
    """Remove environments, as far as that can be done."""
    for prefix in environments:
        if (prefix / "conda-meta").is_dir() and (conda := command_of("conda")):
            command = [conda, "env", "remove", "--yes", "--prefix", str(prefix)]
            subprocess.run(command, capture_output=True, check=False)
        shutil.rmtree(prefix, ignore_errors=True)


def command_of(env_manager: str) -> str | None:
    """The path of the command that MLflow makes environments with; None if it is not there."""
    from _utils.internals import conda_command

    return shutil.which(conda_command() if env_manager == "conda" else COMMANDS[env_manager][0])


def check_command(env_manager: str) -> None:
    """Raise UserError if the command that MLflow makes environments with is not there."""
    from _utils.errors import UserError

    if not command_of(env_manager):
        command, source = COMMANDS[env_manager]
        raise UserError(
            f"--env-manager {env_manager} needs {command}, which is not on the PATH: install it "
            f"({source}), or use the active environment, --env-manager local."
        )


if __name__ == "__main__":
    sys.path.append(str(ROOT / "src"))  # where _utils lies
    from _utils.environment import use_utf8

    use_utf8()
    parser = argparse.ArgumentParser(description="Remove environments that only this project uses")
    parser.add_argument("--yes", nargs="?", const="true", default="", help="do not ask")
    clean(parser.parse_args().yes.lower() in ("true", "yes", "1"))
