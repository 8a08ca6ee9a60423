"""Which files a component's result depends on, found from its source, and what cannot be known.

A file that counts without need runs a component once too often; a file that is missing makes a
stale result. So whatever the source names in the repository counts, and a component whose source
runs or reads what it computes, or what lies outside, always runs.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from glob import glob, has_magic
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from _utils.models.registry import SCHEME
from _utils.pipeline.mentions import PYTHON, URL, mentions_of, words_of

# The template's own code in `_utils`: what it names and reads elsewhere is no part of a result
MACHINERY = re.compile(
    r"_utils/(artifacts|backends|component|models|pipeline|sweeps|tabular/fetch|capabilities"
    r"|environment|errors|internals|masking|notebook|project|shell|variables|warm)\b"
)
# What running or editing a component leaves in its folder
LEFTOVER = re.compile(
    r"__pycache__|mlruns|mlflow\.db.*|\.(git|venv|ipynb_checkpoints|\w+_cache|hypothesis|idea"
    r"|vscode|DS_Store)|.*\.swp|.*~|condaenv\..*\.requirements\.txt|\._.*|Thumbs\.db|desktop\.ini"
)
NO_SOURCE = re.compile(rf"outputs|{LEFTOVER.pattern}")  # at the root of the repository
SYSTEM = re.compile(
    rf"/((bin|dev|lib\w*|proc|sbin|sys|usr)(/.*)?)?|(/private)?/tmp|{re.escape(tempfile.gettempdir())}"
)
# To Windows, a regular expression such as \s* is a path that begins at the root of the drive
NO_PATH = re.compile(r"\W*|/*\\(?!\\).*", re.DOTALL)
MODULES = ["/__init__.py", ".py", ".pyi", *EXTENSION_SUFFIXES]


@cache
def sources_of(folder: Path) -> tuple[list[Path], list[str]]:
    """The files that a component's result depends on, beside its inputs.

    They are all of its folder; the modules of `src` that these import, directly or through others;
    what else of the repository they name; and all that is not Python in the packages that are used.

    Args:
        folder: The component's, in `src`.

    Returns:
        The files, and why not all of them can be known.
    """
    root, src = folder.parents[1], folder.parent
    files: dict[Path, None] = {}
    unknown: dict[str, None] = {}
    waiting = [*files_below(folder)]
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        files[path], place, found = None, path.parent, mentions_of(path)
        waiting += [used for name in found.imports for used in _modules(name, place, src)]
        inside = path.relative_to(src).as_posix() if path.is_relative_to(src) else ""
        if MACHINERY.match(inside):
            continue
        shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path
        unknown |= dict.fromkeys(f"{shown} has {code}" for code in found.unknown)
        for word in found.words if inside else ():  # what lies elsewhere names much
            named = _named(word, [folder, place, src, root])
            if not named and re.fullmatch(r"(\.\.[/\\]+)+[^./\\\s]\S*", word):
                unknown[f"{shown} has '{word}', which is not there"] = None
            for used in named:
                parts = used.relative_to(root).parts if used.is_relative_to(root) else ()
                if parts in [(), ("src",)] and used.is_dir():
                    unknown[f"its source names the folder {used}"] = None
                elif not (NO_SOURCE.fullmatch("".join(parts[:1])) or LEFTOVER.fullmatch(used.name)):
                    waiting += files_below(used) if used.is_dir() else [used]
    packages = {src / p.relative_to(src).parts[0] for p in files if src in p.parent.parents}
    data = (file for each in packages for file in files_below(each) if file.suffix not in PYTHON)
    return sorted({*files, *data}), [*unknown]


def named_by(parameters: dict[str, str], folder: Path) -> tuple[list[Path], list[str]]:
    """The local files that values of parameters name, whatever the parameters are called.

    Args:
        parameters: A component's.
        folder: The component's; a path may be relative to it, or to the repository's folder.

    Returns:
        The files, and why what the values name cannot be known.
    """
    root, files, unknown = folder.parents[1], {}, []
    for key, value in parameters.items():
        if URL.search(value):
            unknown.append("it reads a URL")
        if SCHEME in value[1:] and "@" in value:
            unknown.append(f"its parameter {key} names more than a model")
        with suppress(ValueError):  # escapes of JSON are no part of a path
            value = json.dumps(json.loads(value), ensure_ascii=False)
        value = re.sub(rf"{URL.pattern}[^\s'\",]*", "", value)  # its path is none of this machine
        words = [*words_of(value, r"[./\\]")]
        for used in (used for word in words for used in _named(word, [root, folder])):
            if root.is_relative_to(used):
                unknown.append(f"its parameter {key} names the folder {used}")
            else:
                files |= dict.fromkeys(files_below(used) if used.is_dir() else [used])
    return [*files], unknown


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, also through links, but for what running it leaves there."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        is_new = os.path.realpath(place) not in seen
        seen.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if is_new and not LEFTOVER.fullmatch(name))
        paths = (Path(place, name) for name in sorted(names) if not LEFTOVER.fullmatch(name))
        yield from (path for path in paths if is_new and path.is_file())


@cache
def _modules(name: str, place: Path, src: Path) -> list[Path]:
    """The files of a dotted name in a file of this folder, with those of the packages around it."""
    level = len(name) - len(name.lstrip("."))
    bases = [place, *place.parents][level - 1 : level] if level else [src, place, src.parent]
    parts = name.lstrip(".").removeprefix("src.").split(".")
    bases = [base for base in bases if not parts[0] or parts[0] in _stems(base)]  # few are
    paths = (
        base.joinpath(*parts[:number]) for base in bases for number in range(1, len(parts) + 1)
    )
    files = (f"{path}{end}" for path in paths for end in MODULES)
    return [Path(file) for file in files if os.path.isfile(file)]  # noqa: PTH113  # in less time


@cache
def _stems(folder: Path) -> set[str]:
    """The names of what is in a folder, each up to its first dot."""
    return {path.name.partition(".")[0] for path in folder.iterdir()} if folder.is_dir() else set()


def _named(word: str, bases: Iterable[Path]) -> list[Path]:
    """What there is of a path, perhaps with wildcards, that may be relative to these folders.

    It may have more before it, as in f"{root}/resources/data.csv".
    """
    if NO_PATH.fullmatch(word):
        return []
    pairs = [(base, path) for base in bases for path in {word: 0, word.lstrip("/"): 0}]
    found = [base / path for base, path in pairs]  # a name may be like a pattern: `data [1].csv`
    for base, path in (pair for pair in pairs if has_magic(pair[1])):
        found += [base / hit for hit in glob(path, root_dir=base)]  # noqa: PTH207
    used = dict.fromkeys(Path(os.path.normpath(hit)) for hit in found if os.path.exists(hit))  # noqa: PTH110
    return [path for path in used if not SYSTEM.fullmatch(str(path))]
