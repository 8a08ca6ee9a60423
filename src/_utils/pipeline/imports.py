"""Which files a component's result depends on, found from the source."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# What running a component or editing it may leave in its folder; hidden files count as such too.
LEFTOVERS = {"__pycache__", "mlruns", "mlflow.db"}
LARGEST_SOURCE = 1_000_000  # bytes; what is larger is data
# How MLproject files and shell scripts name a module: python ../_utils/shell.py
PATH_TO_MODULE = re.compile(r"_utils/([\w/]+)\.py")


def files_of(folder: Path) -> list[Path]:
    """The files of a component's folder, and the modules of `_utils` that they use.

    Modules count that are imported, directly or by others, anywhere in a file, and those that a
    command runs by their path.
    """
    own = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(_is_left, path.relative_to(folder).parts))
    ]
    found: dict[Path, None] = {}
    waiting = [module for path in own for module in _modules_used_by(path, folder.parent)]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = None
            waiting += _modules_used_by(module, folder.parent)
    return [*own, *sorted(found)]


def _is_left(name: str) -> bool:
    return name in LEFTOVERS or name.startswith(".")


@cache
def _modules_used_by(path: Path, src: Path) -> list[Path]:
    """The modules of `_utils` that one file uses itself, with the packages they are in."""
    if path.stat().st_size > LARGEST_SOURCE:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    used = [f"_utils.{name}".replace("/", ".") for name in PATH_TO_MODULE.findall(text)]
    if path.suffix in (".py", ".ipynb"):
        package = path.relative_to(src).parent.parts
        for source in [text] if path.suffix == ".py" else _code_cells(text):
            used += _imports(source, package)
    modules = {}
    for name in used:
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            place = src.joinpath(*parts[:depth])
            modules[place / "__init__.py"] = modules[place.with_suffix(".py")] = None
    return [module for module in modules if module.is_file()]


def _imports(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Dotted names of `_utils` that are imported; some of them are functions, not modules."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # the component will tell, when it runs
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "_utils")


def _code_cells(text: str) -> list[str]:
    """The code of a notebook's cells, without lines that are commands of Jupyter."""
    try:
        cells = json.loads(text).get("cells", [])
    except json.JSONDecodeError:
        return []
    code = ["".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code"]
    return [re.sub(r"(?m)^\s*[%!].*$", "", source) for source in code]
