"""Which files a component's result depends on, found from its source, and what cannot be known.

A file that counts without need runs a component once too often; one that is missing makes a stale
result. So whatever in the repository is named in the source counts, and a component whose source
imports, runs or reads what only the running component knows always runs.
"""

import ast
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import NamedTuple
from urllib.request import url2pathname

from _utils.models.registry import SCHEME

# What running a component or editing it leaves in its folder
LEFTOVERS = {
    *("__pycache__", "mlruns", ".git", ".venv", ".ipynb_checkpoints", ".pytest_cache"),
    *(".ruff_cache", ".mypy_cache", ".hypothesis", ".idea", ".vscode", ".DS_Store"),
}
OUTPUTS = "outputs"  # what pipelines leave at the root
URL = re.compile(r"[\w+.:-]+://")
TEMPORARY = Path(tempfile.gettempdir())
SYSTEM = ("/bin/", "/dev/", "/lib", "/proc/", "/sbin/", "/sys/", "/usr/")
LARGEST_TEXT = 100_000  # bytes; what is larger is data, unless it is Python or a script
NAMES_NOTHING = {".md", ".rst", ".txt", ".html", ".csv", ".tsv", ".jsonl", ".svg"}
PYTHON = {".py", ".pyi"}
SCRIPTS = {".sh", ".bash", ".R", ".r", ".jl"}
MODULES = ["/__init__.py", *(end for end in all_suffixes() if end != ".pyc")]

# How commands, and texts in Python, name paths and modules
SEPARATORS = re.compile(r"[\s'\"`=,;:()<>|&{}%]+")
DOTTED = re.compile(r"[A-Za-z_]\w{0,60}(?:\.[A-Za-z_]\w{0,60}){1,9}")
AS_ARGUMENT = re.compile(r"(?:-m[\s'\",]+|(?:import_module|__import__|run_module)\(')(\w[\w.]*)")
BUILDS_PATH = {"Path", "PurePath", "join", "joinpath", "with_name"}

# The template's own of `_utils`: what these name and read elsewhere is no part of a result
MACHINERY = {
    *("artifacts", "backends", "capabilities", "component", "environment", "errors", "internals"),
    *("masking", "names", "pipeline", "project", "sweeps", "variables"),
}
# Variables that tell where things are or how fast they are done, and not what is done
HARMLESS = (
    r"(?:MLFLOW|WANDB|PYTHON|OMP|CUDA|XDG)_?\w*|ARTIFACT_STORE|STORAGE_URL|HOME|PATH|TE?MP\w*"
)
# Lines of Python, the way `ast.unparse` writes them, that do or read what is known when they run
UNKNOWN = [
    re.compile(
        r"\b(?:import_module|__import__|run_module|instantiate|locate|resolve_name)\b"
        r"(?!\('\w[\w.:]*'[,)])"
    ),
    re.compile(r"\brun_path\b(?!\('[^']+'[,)])"),
    re.compile(r"\b(?:spec_from_file_location|SourceFileLoader|iter_modules|walk_packages)\b"),
    re.compile(r"(?<![.\w])(?:builtins\.)?(?:exec|eval)\(|\bexpandvars\b"),
    re.compile(  # but for variables that are written
        rf"\b(?:environb?|getenv)\b(?!(?:\.\w+)?[\[(]'(?:{HARMLESS})'|\.(?:update|pop|setdefault)\("
        r"| \|= |\[[^\]]+\] = )"
    ),
    # Files of other folders by a computed name: '../' + name, Path(__file__).parents[1] / name
    re.compile(r"^(?!.*\bsys\.path\b).*['\"]\.\.(?:[/\\]+\.\.)*[/\\]*['\"{]"),
    re.compile(r"\.parent(?:\.parent|s\[\d+\])\)* / (?!f?['\"])"),
    re.compile(r"\.parents?\b.*\b(?:r?glob|iterdir|walk|listdir|scandir)\("),
    re.compile(r"['\"](?!file:)[a-z][a-z0-9+.-]*://"),
]
# Lines of a command that read a URL
DOWNLOAD = re.compile(r"(?!\s*#).*(?<![\w+.-])(?!file:)[a-z][a-z0-9+.-]*://")
ONLY_IMPORTS = re.compile(r"\s*(?:from|import) (?!.* as )")

# What IPython understands and Python does not: commands, and questions about an object
CELL_MAGIC = re.compile(r"\s*%%(\S+).*\n?")
LINE_MAGIC = re.compile(
    r"^([ \t]*)(?:[\w.,\[\]'\" ]+=[ \t]*)?([%!](?:.*\\\n)*.*)$", flags=re.MULTILINE
)
QUESTION = re.compile(
    r"^([ \t]*)(?:\?{1,2}[\w.*%]+|[%\w.*\[\]]+\?{1,2})[ \t]*;?[ \t]*$", flags=re.MULTILINE
)
OTHER_LANGUAGES = {
    *("bash", "sh", "script", "system", "sx", "!", "cmd", "perl", "ruby", "html", "HTML", "svg"),
    *("SVG", "javascript", "js", "latex", "markdown", "writefile", "file"),
}


class Mentions(NamedTuple):
    """What one file names."""

    modules: list[str]  # dotted; some of them are functions, not modules
    paths: list[str]
    unknown: list[str]  # code whose effect is known when it runs


@cache
def sources_of(folder: Path) -> tuple[list[Path], list[str]]:
    """The files that a component's result depends on, beside its inputs.

    They are all of its folder; the modules of `src` that these import, directly or through others;
    what else of the repository they name; and, of the packages in `src` that are used, all that is
    not Python.

    Args:
        folder: The component's, in `src`.

    Returns:
        The files, and why they cannot all be known, if so.
    """
    root, src = folder.parents[1], folder.parent
    found: dict[Path, None] = {}
    packages: dict[Path, None] = {}
    unknown: list[str] = []
    waiting = [*files_below(folder)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        if path.is_dir():
            unknown.append(f"its source names the folder {path}")
            continue
        found[path] = None
        if path.is_relative_to(src) and path.parent != src:
            packages[src / path.relative_to(src).parts[0]] = None
        names = _mentions(path)
        waiting += [used for name in names.modules for used in _modules(name, path.parent, src)]
        if _is_machinery(path, src):
            continue
        if path.is_relative_to(src):  # what is elsewhere names much, such as all tests
            waiting += [used for text in names.paths for used in _named(text, path.parent, folder)]
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        unknown += [f"{shown.as_posix()} has {code}" for code in names.unknown]
    beside = [file for package in packages for file in files_below(package)]
    data = (file for file in beside if file.suffix not in PYTHON)
    return sorted({*found, *data}), [*dict.fromkeys(unknown)]


def _is_machinery(path: Path, src: Path) -> bool:
    parts = path.relative_to(src).parts if path.is_relative_to(src) else ()
    own = parts[:1] == ("_utils",) and parts[1].partition(".")[0] in MACHINERY
    return own or parts == ("_utils", "tabular", "fetch.py")


def named_by(parameters: dict[str, str], folder: Path) -> tuple[list[Path], list[str]]:
    """The local files that values of parameters name, whatever the parameters are called.

    Args:
        parameters: A component's.
        folder: The component's; a path may be relative to it, or to the repository's folder.

    Returns:
        The files, and why what the values name cannot be known, if so.
    """
    root = folder.parents[1]
    files, unknown = [], []
    texts = [(key, text) for key, value in parameters.items() for text in _texts_in(value)]
    for key, text in texts:
        if text.startswith("file:"):
            text = url2pathname(re.sub("^file:(//(localhost)?)?", "", text))
        elif URL.match(text):
            unknown.append("it reads a URL")
        elif text.startswith(SCHEME) and "@" in text and text != parameters[key]:
            unknown.append(f"its parameter {key} names more than a model")
        path = Path(text).expanduser() if text.startswith("~/") else Path(text)
        bases = dict.fromkeys([root / path, folder / path])  # an absolute path stays as it is
        for used in [used for base in bases for used in _matches(base)]:
            if root.is_relative_to(used):
                unknown.append(f"its parameter {key} names the folder {used}")
            else:
                files += files_below(used) if used.is_dir() else [used]
    return files, unknown


def _texts_in(value: str) -> Iterator[str]:
    """A value, the texts in it if it is JSON, and parts that it may be a list of."""
    pending = [value]
    with suppress(ValueError):
        pending.append(json.loads(value))
    while pending:
        each = pending.pop()
        if isinstance(each, dict | list):
            pending += each.values() if isinstance(each, dict) else each
        elif isinstance(each, str):
            parts = [each, *re.split(r"\s*[,;=|]\s*", each)]
            parts += [word for word in each.split() if re.search(r"[./\\]", word)]
            yield from (part for part in dict.fromkeys(parts) if _may_be_path(part))


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, also through links, but for what is left there by running it."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not _is_left(name))
        paths = [] if real in seen else [Path(place, name) for name in names if not _is_left(name)]
        yield from (path for path in sorted(paths) if path.is_file())
        seen.add(real)


def _is_left(name: str) -> bool:
    return name in LEFTOVERS or name.startswith("mlflow.db") or name.endswith((".swp", "~"))


@cache
def _modules(name: str, place: Path, src: Path) -> list[Path]:
    """The files of a dotted name in a file of this folder, with those of the packages around it."""
    level = len(name) - len(name.lstrip("."))
    parts, found = name.lstrip(".").removeprefix("src.").split("."), []
    bases = [place, *place.parents][level - 1 : level] if level else [src, place, src.parent]
    if parts[0] == "main":  # a key of the config
        bases.remove(src.parent)
    for base in bases:
        if not level and parts[0] not in _names_in(base):
            continue
        for part in parts:
            if part == "*":
                found += [file for file in files_below(base) if file.suffix in PYTHON]
            base /= part
            found += [file for end in MODULES if (file := Path(f"{base}{end}")).is_file()]
            if not base.is_dir():
                break
    return found


@cache
def _named(text: str, place: Path, folder: Path) -> list[Path]:
    """The files that a text in a file of this folder names, and folders outside the repository."""
    root, src, found = folder.parents[1], folder.parent, []
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    patterns = [path] if path.is_absolute() else []
    inside = text.lstrip("/")  # the text may have more before it: f"{root}/resources/data.csv"
    first = re.split(r"[/\\]", inside)[0]
    for base in dict.fromkeys([folder, place, src, root]):
        if first in _names_in(base) or re.search(r"^\.\.?$|[*?[]", first):
            patterns.append(base / inside)
    for used in [used for pattern in patterns for used in _matches(pattern)]:
        if used.is_relative_to(root):
            parts = used.relative_to(root).parts
            if parts[:1] == (OUTPUTS,) or any(map(_is_left, parts)) or used in (root, src):
                continue
            found += files_below(used) if used.is_dir() else [used]
        elif not f"{used}/".startswith(SYSTEM) and used not in (Path("/"), TEMPORARY):
            found.append(used)
    return found


@cache
def _names_in(folder: Path) -> set[str]:
    """What there is in a folder, with and without what follows the first dot."""
    names = {path.name for path in folder.iterdir()}
    return names | {name.partition(".")[0] for name in names}


def _matches(pattern: Path) -> list[Path]:
    """What there is of this path, in which there may be wildcards."""
    pattern = Path(os.path.normpath(pattern))
    try:
        if re.search(r"[*?[]", str(pattern)):
            return [*Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))]
        return [pattern] if pattern.exists() else []
    except (ValueError, OSError):  # a text that cannot be a path
        return []


@cache
def _mentions(path: Path) -> Mentions:
    """What one file names itself."""
    with path.open("rb") as file:
        is_code = path.suffix in {*PYTHON, ".ipynb"} or file.read(2) == b"#!"
    if not is_code and (path.suffix in NAMES_NOTHING or path.stat().st_size > LARGEST_TEXT):
        return Mentions([], [], [])
    content = path.read_bytes()
    if path.suffix in PYTHON:
        return _of_cells([content])
    if path.suffix == ".ipynb":
        return _of_notebook(content)
    found = _of_text(text := content.decode(errors="ignore"))
    if is_code or path.suffix in SCRIPTS:
        found.unknown.extend(_downloads(text))
    if tree := _parse(content):  # a script without .py
        found = Mentions(*(a + b for a, b in zip(found, _of_tree(tree), strict=True)))
    return found


def _of_text(text: str) -> Mentions:
    """What commands name."""
    paths = {each for each in SEPARATORS.split(text) if re.search(r"[/\\]", each)}
    modules = {*DOTTED.findall(text), *AS_ARGUMENT.findall(text)}
    return Mentions([*modules], [each for each in paths if _may_be_path(each)], [])


def _downloads(commands: str) -> list[str]:
    """The lines of commands that name a URL, whose content may change."""
    return [f"`{line[:60]}`" for line in commands.splitlines() if DOWNLOAD.match(line)]


def _may_be_path(text: str) -> bool:
    return bool(re.search(r"\w", text)) and "\0" not in text


def _of_notebook(content: bytes) -> Mentions:
    try:
        cells = json.loads(content)["cells"]
        return _of_cells(["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"])
    except (ValueError, LookupError, TypeError):
        return Mentions([], [], ["no cells that can be read"])


def _of_cells(sources: Sequence[str | bytes]) -> Mentions:
    """What the cells of a notebook name, or a file of Python, which is one cell."""
    found = Mentions([], [], [])
    for source in sources:
        tree, commands, language = _parse(source), "", ""
        if not tree and isinstance(source, str):
            tree, commands, language = _parse_cell(source)
        if not tree and language not in OTHER_LANGUAGES:
            found.unknown.append("code that cannot be parsed")
        found.unknown.extend(_downloads(commands))
        for part in [_of_text(commands), *([_of_tree(tree)] if tree else [])]:
            for all_names, names in zip(found, part, strict=True):
                all_names += names
    return found


def _parse(source: str | bytes) -> ast.AST | None:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(source, "source", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parse_cell(source: str) -> tuple[ast.AST | None, str, str]:
    """The Python of a cell with commands of IPython, these, and the language if it says one."""
    commands = []

    def as_python(line: re.Match) -> str:
        commands.append(line[2])
        code = line[2].partition(" ")[2].strip()  # of %time x = f()
        return line[1] + (code if code and _parse(code) else "pass")

    magic = CELL_MAGIC.match(source)
    if magic:
        commands.append(source)
        source = source[magic.end() :]
    tree = _parse(QUESTION.sub(r"\1pass", LINE_MAGIC.sub(as_python, source)))
    return tree, "\n".join(commands), magic[1] if magic else ""


def _of_tree(tree: ast.AST) -> Mentions:
    """What Python code names: by imports, and by texts that are paths or names of modules."""
    modules, paths = [], []
    for node in ast.walk(tree):
        match node:
            case ast.Expr(ast.Constant() as docstring):
                docstring.value = None
            case ast.Import(names):
                modules += [alias.name for alias in names]
            case ast.ImportFrom(module, names, level):
                origin = "." * level + (f"{module}." if module else "")
                modules += [origin.rstrip(".") or origin, *(origin + each.name for each in names)]
            case ast.BinOp(_, ast.Div(), ast.Constant(str(text))):
                paths.append(text)
            case ast.Call(ast.Name(name) | ast.Attribute(_, name), words) if name in BUILDS_PATH:
                paths += [str(each.value) for each in words if isinstance(each, ast.Constant)]
            case ast.Constant(str(text)):
                names_in_text = _of_text(text)
                modules += names_in_text.modules
                paths += [*names_in_text.paths, *([text] if re.search(r"[./\\]", text) else [])]
    try:
        code = ast.unparse(tree)
    except RecursionError:
        return Mentions(modules, paths, ["code that is nested too deeply"])
    lines = [line.strip() for line in code.splitlines() if not ONLY_IMPORTS.match(line)]
    unknown = [line for line in lines if any(pattern.search(line) for pattern in UNKNOWN)]
    paths = [text for text in paths if _may_be_path(text)]
    return Mentions([*modules, *AS_ARGUMENT.findall(code)], paths, [f"`{x[:60]}`" for x in unknown])
