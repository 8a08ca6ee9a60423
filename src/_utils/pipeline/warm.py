"""Which components can start warm, and which libraries they import."""

import ast
import os
import re
import shlex
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path

from _utils.environment import told
from _utils.pipeline.report import console
from _utils.pipeline.sources import sources_of
from _utils.warm import WARM_PARENTS, ColdStart, WarmProcess, start_warm, warm_parent
from _utils.warm import send as send_to

# How MLflow activates an environment before a command
ACTIVATION = re.compile(r"((?:source|\.) \S+ && |conda activate \S+(?: 1>&2)? && )*")
# Words that mean to the shell what they say, quoted or not
PLAIN = re.compile(r"""([\w@%+=:,./ -]|'[^']*'|"[^"$`\\]*")*""")
# What libraries import when they are used, by the name of the library: it takes seconds
LATE = {
    "mlflow": ["import IPython"],
    "sklearn": ["import mlflow.sklearn", "import skops.io", "import git"],
    "matplotlib": ["import matplotlib.backends.backend_agg", "import PIL.PngImagePlugin"],
}
later: list[Path] = []  # folders of the components that are about to run, in their order


def import_ahead(env_manager: str) -> None:
    """Let the warm parent import libraries while this process does what else there is to do.

    Where MLflow makes environments they are not known yet: the first component waits for its own.
    """
    if told(WARM_PARENTS) and later and env_manager == "local":
        with suppress(OSError):
            send_to(warm_parent("", {**os.environ}), later=libraries_of_later()).close()


def libraries_of_later() -> list[str]:
    """The import statements of the components that are about to run."""
    return [line for folder in later for line in imports_of(folder)]


def start_component(command: str, folder: str, variables: dict[str, str]) -> WarmProcess | None:
    """Start a command as `bash -c <command>` would start it; None if that cannot be.

    Args:
        command: A Python command, with the activation of its environment before it.
        folder: Where it works, the component's.
        variables: All of its environment.
    """
    activation, words = words_of(command, Path(folder))
    if not (words and told(WARM_PARENTS)):
        return None
    try:
        return start_warm(
            warm_parent(activation, variables),
            imports=imports_of(Path(folder)),
            later=libraries_of_later(),
            words=words,
            folder=folder,
            name=Path(folder).name,
            variables=variables,
        )
    except (ColdStart, OSError) as reason:
        console.print(f"    (imports its libraries anew: {reason})", style="dim", highlight=False)
        return None


def words_of(command: str, folder: Path) -> tuple[str, list[str]]:
    """Split a command into the activation of its environment and the words after `python`.

    Returns:
        The activation, and a script or `-m` or `pytest` with its arguments; no words if the command
        is no Python command, or has what only a shell understands.
    """
    activation = ACTIVATION.match(command)[0]  # type: ignore[index]  # it matches nothing, too
    if not PLAIN.fullmatch(command, len(activation)):
        return activation, []
    words = shlex.split(command[len(activation) :])
    match words:
        case ["python", "-m", _, *_]:
            return activation, words[1:]
        case ["python", script, *_] if (folder / script).is_file():
            return activation, words[1:]
        case ["pytest", *_]:
            return activation, words
    return activation, []


@cache
def imports_of(folder: Path) -> list[str]:
    """The import statements of libraries at the top of a component's files."""
    libraries: dict[str, None] = {}
    for path in sources_of(folder)[0]:
        with suppress(SyntaxError, ValueError):
            for node in ast.parse(path.read_bytes()).body if path.suffix == ".py" else ():
                if isinstance(node, ast.Import | ast.ImportFrom) and not is_own(node, folder):
                    libraries[ast.unparse(node)] = None
    known = " ".join(libraries)
    late = (each for name, each in LATE.items() if re.search(rf"\b{name}\b", known))
    return [*libraries, *chain.from_iterable(late)]


def is_own(node: ast.Import | ast.ImportFrom, folder: Path) -> bool:
    """Tell whether an import takes a module of this repository."""
    name = node.names[0].name if isinstance(node, ast.Import) else node.module
    if not name or (isinstance(node, ast.ImportFrom) and node.level):
        return True
    first = name.partition(".")[0]
    bases = folder, *folder.parents[:2]
    return first == "__future__" or any(
        (base / first).is_dir() or (base / f"{first}.py").is_file() for base in bases
    )
