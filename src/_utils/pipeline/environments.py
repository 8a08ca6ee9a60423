"""Environments that MLflow makes: one process at a time makes one, and unfinished ones are told.

MLflow takes any folder of the right name for a finished environment, also one that another process
is still filling, or whose creation was killed. Beside the environments lies what we know of one:
`<name>.unfinished` while main.py lets MLflow make it, and `<name>.users`, the repositories that use
it. An environment itself is never changed.

Only the standard library is imported at the top: main.py looks at its own environment with this.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[3]  # of the repository
PYTHONS = ("bin/python", "Scripts/python.exe", "python.exe")  # the last is conda's on Windows
MADE_BY_MLFLOW = re.compile(r"mlflow-[0-9a-f]{40}")
PATIENCE = 30  # seconds in which nothing changes, until nobody is taken to fill an environment
SETTLED = 2  # seconds, of one that has what is listed


def check_own(conda_file: Path) -> None:
    """Say so and exit if the environment that this process runs in lacks what main.py imports.

    MLflow made it, if it did, before main.py started: another process may still be filling it.
    """
    sys.excepthook = _tell_missing_package
    prefix = Path(sys.prefix)
    if MADE_BY_MLFLOW.fullmatch(prefix.name):
        _wait_for_others(prefix, conda_file)
        importlib.invalidate_caches()
        if told := faults(prefix, conda_file):
            sys.exit(told)


def _tell_missing_package(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    name = getattr(error, "name", None) or ""
    if not isinstance(error, ImportError) or name.startswith("_utils"):
        sys.__excepthook__(kind, error, trace)
        return
    cure = (
        "activate the environment first (source .venv/bin/activate), or let MLflow make one "
        "(mlflow run . --env-manager uv)."
    )
    if MADE_BY_MLFLOW.fullmatch(Path(sys.prefix).name):
        cure = _cure(Path(sys.prefix))
    print(f"{sys.executable}: {error}: {cure}", file=sys.stderr)


def _wait_for_others(prefix: Path, conda_file: Path) -> None:
    """Wait as long as another process seems to install into the environment."""
    told = False
    while True:
        changed = max(folder.stat().st_mtime for folder in [prefix, *_site_packages(prefix)])
        patience = PATIENCE if faults(prefix, conda_file) else SETTLED
        if not _uv_installs_into(prefix) and abs(time.time() - changed) > patience:
            return
        if not told and patience == PATIENCE:
            print(f"Another process may be making {prefix}: waiting for it.", file=sys.stderr)
            told = True
        time.sleep(0.2)


def _uv_installs_into(prefix: Path) -> bool:
    """Tell whether uv has its lock on an environment, as it has while it downloads too."""
    if os.name == "nt":
        return False
    import fcntl

    with suppress(OSError), (prefix / ".lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def faults(prefix: Path, conda_file: Path) -> str:
    """What an environment lacks, and the command that removes it; empty if it lacks nothing.

    Args:
        prefix: The environment's folder.
        conda_file: What it is to be made of; of its `pip:` list it has to have all.
    """
    lacking = [] if any((prefix / python).exists() for python in PYTHONS) else ["Python"]
    if not (conda_file.parent / "uv.lock").exists():  # uv takes that in the place of the list
        found = [path for site in _site_packages(prefix) for path in site.glob("*.*-info")]
        present = {_canonical(re.split(r"-|\.egg", path.name)[0]) for path in found}
        lacking += [name for name in _listed(conda_file) if _canonical(name) not in present]
    return f"{prefix} lacks {', '.join(lacking)}: {_cure(prefix)}" if lacking else ""


def _cure(prefix: Path) -> str:
    remove = f'rmdir /s /q "{prefix}"' if os.name == "nt" else f"rm -r '{prefix}'"
    return (
        "perhaps it was never finished. If nobody is making it just now, remove it, and the same "
        f"command makes it anew: {remove}"
    )


def _site_packages(prefix: Path) -> list[Path]:
    return [*prefix.glob("lib*/*/site-packages"), *prefix.glob("Lib/site-packages")]


def _listed(conda_file: Path) -> list[str]:
    """The names in the `pip:` list, without URLs, options, and what only some machines need."""
    _, _, pip = conda_file.read_text(encoding="utf-8").partition("- pip:")
    requirement = r"^ +- ['\"]?([A-Za-z0-9][\w.-]*)(?=[\s=<>!~\[@'\"]|$)(?!.*;)"
    return re.findall(requirement, pip, re.MULTILINE)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@contextmanager
def one_at_a_time(conda_file: Path, env_manager: str) -> Iterator[None]:
    """Within this, MLflow may make the environment of a component: others wait, and say so.

    One whose making was killed within this is removed first, and made again.

    Args:
        conda_file: What the environment is made of.
        env_manager: As in MLflow: conda, virtualenv, or uv.

    Raises:
        UserError: There is an environment that lacks something, and is none of those.
    """
    from filelock import FileLock, Timeout

    from _utils.errors import UserError

    root = env_root()
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / "pipeline.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("Another pipeline is making an environment: waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        name = name_of(conda_file, env_manager)
        unfinished = root / f"{name}.unfinished"
        prefix = find(name, env_manager)
        if prefix and unfinished.exists() and not prefix.is_symlink():
            while _uv_installs_into(prefix):  # it was started by the one that was killed
                time.sleep(0.2)
            remains = prefix.rename(prefix.with_name(f"{name}.{os.getpid()}.removed"))
            shutil.rmtree(remains, ignore_errors=True)
        elif prefix and (told := faults(prefix, conda_file)):
            raise UserError(told)
        if not prefix or not prefix.exists():
            unfinished.touch()
        yield
        unfinished.unlink(missing_ok=True)
        for used in {name, name_of(ROOT / "conda.yml", env_manager)}:
            if ROOT not in users_of(used):
                with (root / f"{used}.users").open("a", encoding="utf-8") as file:
                    file.write(f"{ROOT}\n")
    finally:
        lock.release()


def users_of(name: str) -> set[Path]:
    """The repositories that use the environment of this name, of those that are still there."""
    with suppress(OSError):
        lines = (env_root() / f"{name}.users").read_text(encoding="utf-8").splitlines()
        return {Path(line) for line in lines if Path(line).is_dir()}
    return set()


def env_root() -> Path:
    """Where MLflow makes environments by virtualenv and uv."""
    from mlflow.environment_variables import MLFLOW_ENV_ROOT

    return Path(MLFLOW_ENV_ROOT.get())


def name_of(conda_file: Path, env_manager: str) -> str:
    """The name that MLflow gives the environment; it has no public function for that."""
    from mlflow.utils.conda import _get_conda_env_name
    from mlflow.utils.environment import _PythonEnv
    from mlflow.utils.virtualenv import _get_virtualenv_name

    if env_manager == "conda":
        return _get_conda_env_name(str(conda_file))
    return _get_virtualenv_name(_PythonEnv.from_conda_yaml(str(conda_file)), conda_file.parent)


def find(name: str, env_manager: str) -> Path | None:
    """Where the environment of this name is, if there is one."""
    if env_manager != "conda":
        prefix = env_root() / name
        return prefix if prefix.exists() else None
    return next((prefix for prefix in listed_by_conda() if prefix.name == name), None)


def listed_by_conda() -> list[Path]:
    """All environments of conda."""
    from mlflow.utils.conda import get_conda_bin_executable

    command = [get_conda_bin_executable("conda"), "env", "list", "--json"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    return [Path(prefix) for prefix in json.loads(listed)["envs"]]
