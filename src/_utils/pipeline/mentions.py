"""What one file of a component names, and what in it cannot be known before it runs."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from _utils.tabular.fetch import local_path

# Names that run or read what a value chooses, wherever they appear in a component's source
COMPUTED = {
    *("__import__", "builtins", "eval", "exec"),
    *("import_module", "resolve_name", "locate", "instantiate", "iter_modules", "walk_packages"),
    *("spec_from_file_location", "SourceFileLoader", "run_module", "run_path", "*"),
    *("environ", "environb", "getenv", "expandvars"),
}
OF_THE_RUN = re.compile(r"'(MLFLOW|WANDB)_\w+'")  # variables that may be read: new in each run
PLAIN = {"Path", "PurePath", "pathlib", "os", "str", "__file__"}  # in a path that is written
URL = re.compile(r"(?<![\w+.-])(?!file:)[A-Za-z][\w+.-]*://")
UP = re.compile(r"(\.?\.[/\\]+)*\.\.[/\\]*")  # a path to a folder around this one, and no more
PYTHON, SCRIPTS = {".py", ".pyi"}, {".sh", ".bash", ".R", ".r", ".jl"}
CODE = {*PYTHON, *SCRIPTS, ".ipynb"}
NAMES_NOTHING = {".md", ".rst", ".txt", ".html", ".csv", ".tsv", ".jsonl", ".svg"}
LARGEST_TEXT = 1_000_000  # bytes; what is larger is data, unless its name says that it is code
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
def mentions_of(path: Path) -> Mentions:
    """What one file names itself."""
    found = Mentions([], [], [])
    if path.suffix not in CODE and path.stat().st_size > LARGEST_TEXT:
        return found
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix in PYTHON or re.match("#!.*python", text):
        _read_python(text, found)
    elif path.suffix == ".ipynb":
        _read_notebook(text, found)
    elif path.suffix not in NAMES_NOTHING:
        _read_commands(text, found)
        if path.suffix not in SCRIPTS and not text.startswith("#!"):
            found.unknown.clear()  # a URL in a description, for example
    return found


def _read_commands(text: str, found: Mentions) -> None:
    """Find what commands name, and which of them read what lies outside."""
    found.words.extend(words_of(text))
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
            _read_commands(commands, found)
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
            case ast.Subscript(ast.Attribute(attr="environ") as variables, key, ctx) if isinstance(
                ctx, ast.Store
            ) or OF_THE_RUN.match(ast.unparse(key)):
                variables.attr = ""
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
                found.words.extend(words_of(text))
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


def words_of(text: str, mark: str = r"[/\\]") -> Iterator[str]:
    """A text, and the parts of it that may be paths since they have this mark."""
    parts = re.split(SEPARATOR, text) + re.split(rf"\s|{SEPARATOR}", text)
    for part in dict.fromkeys([text, *(part for part in parts if re.search(mark, part))]):
        yield local_path(part) or part
