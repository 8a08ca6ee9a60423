"""Which files a component's result depends on, found from its source, and what cannot be known.

A file that counts without need runs a component once too often; a file that is missing makes a
stale result. So whatever the source names in the repository counts, and a component whose source
runs or reads what it computes, or what lies outside, always runs.
"""

import ast
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from glob import glob
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import NamedTuple
from urllib.request import url2pathname

from _utils.models.registry import SCHEME

# Names that run or read what a value chooses, wherever they appear in a component's source
COMPUTED = {
    *("__import__", "builtins", "eval", "exec"),
    *("import_module", "resolve_name", "locate", "instantiate", "iter_modules", "walk_packages"),
    *("spec_from_file_location", "SourceFileLoader", "run_module", "run_path", "*"),
    *("environ", "environb", "getenv", "expandvars"),
}
PLAIN = {"Path", "PurePath", "pathlib", "os", "str", "__file__"}  # in a path that is written
URL = re.compile(r"(?<![\w+.-])(?!file:)[A-Za-z][\w+.-]*://")
UP = re.compile(r"(\.?\.[/\\]+)*\.\.[/\\]*")  # a path to a folder around this one, and no more
# The template's own code in `_utils`: what it names and reads elsewhere is no part of a result
MACHINERY = re.compile(
    r"_utils/(artifacts|backends|component|models|pipeline|sweeps|tabular/fetch|capabilities"
    r"|environment|errors|internals|masking|names|notebook|project|shell|variables)\b"
)
# What running or editing a component leaves in its folder
LEFTOVER = re.compile(
    r"__pycache__|mlruns|mlflow\.db.*|\.(git|venv|ipynb_checkpoints|\w+_cache|hypothesis|idea"
    r"|vscode|DS_Store)|.*\.swp|.*~"
)
NO_SOURCE = re.compile(rf"outputs|{LEFTOVER.pattern}")  # at the root of the repository
SYSTEM = re.compile(rf"/((bin|dev|lib\w*|proc|sbin|sys|usr)(/.*)?)?|{tempfile.gettempdir()}")
PYTHON, SCRIPTS = {".py", ".pyi"}, {".sh", ".bash", ".R", ".r", ".jl"}
CODE = {*PYTHON, *SCRIPTS, ".ipynb"}
NAMES_NOTHING = {".md", ".rst", ".txt", ".html", ".csv", ".tsv", ".jsonl", ".svg"}
LARGEST_TEXT = 1_000_000  # bytes; what is larger is data, unless its name says that it is code
MODULES = ["/__init__.py", ".py", ".pyi", *EXTENSION_SUFFIXES]
SEPARATOR = r"['\"`,=;()<>|&{}\[\]]|:(?!//)"
# What IPython understands and Python does not
TIMING = re.compile(r"^([ \t]*)%%?(time|timeit|capture)\b[ \t]*", re.MULTILINE)
COMMAND = re.compile(r"^([ \t]*)([\w.,\[\]'\" ]+=[ \t]*)?([%!?].*|[\w.*\[\]]+\?.*)$", re.MULTILINE)
NO_PYTHON = re.compile(r"\s*%%(bash|sh|html|latex|markdown)\b")


class Mentions(NamedTuple):
    """What one file names."""

    imports: list[str]  # dotted; some of them are functions, not modules
    words: list[str]  # perhaps paths
    unknown: list[str]  # code whose effect is known when it runs


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
        files[path], place, found = None, path.parent, _mentions(path)
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
                elif not NO_SOURCE.fullmatch("".join(parts[:1])):
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
        words = [*_words(value, r"[./\\]")]
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
    paths = (
        base.joinpath(*parts[:number]) for base in bases for number in range(1, len(parts) + 1)
    )
    return [file for path in paths for end in MODULES if (file := Path(f"{path}{end}")).is_file()]


def _named(word: str, bases: Iterable[Path]) -> list[Path]:
    """What there is of a path, perhaps with wildcards, that may be relative to these folders.

    It may have more before it, as in f"{root}/resources/data.csv".
    """
    if UP.fullmatch(word) or not re.search(r"\w", word):
        return []
    path = str(Path(word).expanduser()) if word.startswith("~/") else word
    pairs = [(base, each) for base in bases for each in {path: 0, word.lstrip("/"): 0}]
    hits = (base / hit for base, path in pairs for hit in glob(path, root_dir=base))  # noqa: PTH207
    used = dict.fromkeys(Path(os.path.normpath(hit)) for hit in hits if hit.exists())
    return [path for path in used if not SYSTEM.fullmatch(str(path))]


def _words(text: str, mark: str = r"[/\\]") -> Iterator[str]:
    """A text, and the parts of it that may be paths since they have this mark."""
    parts = re.split(SEPARATOR, text) + re.split(rf"\s|{SEPARATOR}", text)
    for part in dict.fromkeys([text, *(part for part in parts if re.search(mark, part))]):
        path = re.sub("^file:(//(localhost)?)?", "", part)
        yield url2pathname(path) if path != part else part


@cache
def _mentions(path: Path) -> Mentions:
    """What one file names itself."""
    found = Mentions([], [], [])
    if path.suffix not in CODE and path.stat().st_size > LARGEST_TEXT:
        return found
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix in PYTHON or re.match("#!.*python", text):
        _read_python(text, found)
    elif path.suffix == ".ipynb":
        _read_notebook(text, found)
    elif path.suffix in SCRIPTS or text.startswith("#!"):
        _read_script(text, found)
    elif path.suffix not in NAMES_NOTHING:
        found.words.extend(_words(text))
    return found


def _read_script(text: str, found: Mentions) -> None:
    """Find what commands name, and which of them read what lies outside."""
    found.words.extend(_words(text))
    found.imports.extend(re.findall(r"-m\s+([\w.]+)", text))
    lines = [line.strip() for line in text.splitlines() if URL.search(line) or "%sql" in line]
    found.unknown.extend(f"`{line[:60]}`" for line in lines if not line.startswith("#"))


def _read_notebook(text: str, found: Mentions) -> None:
    """Find what the cells of a notebook name, which are one program."""
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, LookupError, TypeError):
        found.unknown.append("no cells that can be read")
        return
    for number, source in enumerate(sources):
        if not _parse(source):
            commands = source.replace("\\\n", " ")
            _read_script(commands, found)
            code = COMMAND.sub(r"\1pass", TIMING.sub(r"\1", commands))
            sources[number] = "" if NO_PYTHON.match(source) else code
    _read_python("\n".join(sources), found)


def _parse(source: str) -> ast.AST | None:
    with warnings.catch_warnings(), suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        warnings.simplefilter("ignore")
        return ast.parse(source)
    return None


def _read_python(source: str, found: Mentions) -> None:
    """Find what Python code names by imports and texts, and what it computes or reads outside."""
    if not (tree := _parse(source)):
        found.unknown.append("code that cannot be parsed")
        return
    lines, unknown = source.splitlines(), set()
    anchored: set[ast.AST] = set()  # where a path begins that goes on to a text
    for node in ast.walk(tree):  # what is outside comes before what is inside
        match node:
            case ast.Expr(ast.Constant() as docstring):
                docstring.value = None
            case ast.Subscript(ast.Attribute(attr="environ") as written, ctx=ast.Store()):
                written.attr = ""
            case ast.Import(names):
                found.imports.extend(alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                origin = "." * level + (f"{module}." if module else "")
                found.imports.append(origin.rstrip(".") or origin)
                found.imports.extend(origin + alias.name for alias in names)
            case ast.BinOp(path, ast.Div(), ast.Constant(str())) | ast.Call(
                ast.Attribute(ast.Attribute(ast.Name("sys"), "path")), [*_, path]
            ):
                parts, texts = [*ast.walk(path)], [getattr(p, "value", 0) for p in ast.walk(node)]
                found.words.extend(f"./{text}" for text in texts if isinstance(text, str))
                if all(part.id in PLAIN for part in parts if isinstance(part, ast.Name)):
                    anchored.update(parts)
            case ast.Constant(str(text)) if re.search(r"[./\\]", text):
                found.words.extend(_words(text))
        if isinstance(node, ast.expr | ast.alias) and _is_computed(node, node in anchored):
            unknown.add(lines[node.lineno - 1].strip()[:60])
    found.unknown.extend(f"`{line}`" for line in sorted(unknown))


def _is_computed(node: ast.AST, is_anchored: bool) -> bool:
    """Tell whether code runs or reads what a value chooses, or something around its own folder."""
    match node:
        case ast.Attribute(attr="eval" | "exec"):  # of a model or a table
            return False
        case ast.Name(name) | ast.alias(name) | ast.Attribute(attr=name) if name in COMPUTED:
            return True
        case ast.Constant(str(text)):
            goes_up = UP.fullmatch(text) and not is_anchored
            return bool(URL.search(text) or re.search(r"python\S* -m ", text) or goes_up)
        case ast.List(parts) | ast.Tuple(parts):  # ["python", "-m", name]
            return any(isinstance(part, ast.Constant) and part.value == "-m" for part in parts)
        case (
            ast.Attribute(attr="parents" | "pardir")
            | ast.Attribute(ast.Attribute(attr="parent"), "parent")
            | ast.Attribute(ast.Call(ast.Attribute(attr="cwd")), "parent")
            | ast.Call(ast.Attribute(attr="dirname"), [ast.Call(ast.Attribute(attr="dirname"))])
        ):
            return not is_anchored
    return False
