"""What processes tell each other by environment variables goes through one file and one table."""

import ast
import io
import os
import re
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT

from _utils.environment import set_defaults, tell, use_utf8

FILES = [ROOT / "main.py", *sorted((ROOT / "src").rglob("*.py"))]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in FILES}
# A component's process gets all variables, and a config may name any: ${oc.env:NAME}
READS_ALL = {
    f"src/_utils/{name}.py"
    for name in ("environment", "variables", "pipeline/backend", "pipeline/warm", "warm/parent")
}
VARIABLE = re.compile(r"[A-Z][A-Z0-9_*]+|no_proxy")


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """The values of names, as SWEEP = "SWEEP_RUN_ID"; first this module's own."""
    nodes = [node for each in [*TREES.values(), tree] for node in each.body]
    assigned = [node for node in nodes if isinstance(node, ast.Assign)]
    return {ast.unparse(target): node.value for node in assigned for target in node.targets}


def variables_in(expression: ast.expr, values: dict[str, ast.expr]) -> set[str]:
    """The variables that an expression names; what a f-string inserts is a *."""
    if isinstance(expression, ast.JoinedStr):
        parts = [
            part.value if isinstance(part, ast.Constant) else "*" for part in expression.values
        ]
        return {"".join(parts)}
    found = set()
    for node in ast.walk(expression):
        if isinstance(node, ast.Name) and node.id in values:
            found |= variables_in(values[node.id], {**values, node.id: ast.Constant("")})
        if isinstance(node, ast.Constant) and VARIABLE.fullmatch(str(node.value)):
            found.add(node.value)
    return found


def imports_it(tree: ast.Module) -> bool:
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(node.module == "_utils.environment" for node in froms)


def calls(tree: ast.AST, values: dict[str, ast.expr]) -> list[tuple[ast.expr, dict]]:
    """The name that each tell() and told() is given, with the values of the loops around it."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("tell", "told"):
            found.append((node.args[0], values))
        loops = [node] if isinstance(node, ast.For) else getattr(node, "generators", [])
        found += calls(node, values | {ast.unparse(loop.target): loop.iter for loop in loops})
    return found


def test_the_table_has_all_variables():
    text = (ROOT / "MLpipeline.md").read_text("utf-8").partition("\n## Environment variables\n")[2]
    rows = [line.split("|")[1] for line in text.partition("\n## ")[0].splitlines() if "|" in line]
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    trees = [*filter(imports_it, TREES.values()), TREES["src/_utils/environment.py"]]
    named = [call for tree in trees for call in calls(tree, constants(tree))]
    for name, values in named:
        assert variables_in(name, values), f"the test cannot read tell/told({ast.unparse(name)})"
    missing = {each for name, values in named for each in variables_in(name, values)} - listed
    assert not missing, f"'Environment variables' in MLpipeline.md lacks {sorted(missing)}"


def test_nothing_else_touches_os_environ():
    others = {path: tree for path, tree in TREES.items() if path not in READS_ALL}
    named = {"os.environ", "os.environb", "os.getenv", "os.putenv"}
    found = [
        f"{path}:{node.lineno}"
        for path, tree in others.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in named
    ]
    assert not found, f"use tell() and told() of _utils.environment in {', '.join(found)}"


def test_what_the_user_has_set_stays_and_the_path_does_not_grow(monkeypatch):
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("PATH", "/bin")
    for _ in range(2):  # a job of a sweep begins with what its parent has set
        set_defaults()
    assert os.environ["MLFLOW_LOGGING_LEVEL"] == "DEBUG"
    own = dict.fromkeys([str(Path(sys.executable).parent), sysconfig.get_path("scripts")])
    assert os.environ["PATH"] == os.pathsep.join([*own, "/bin"])
    tell("MLFLOW_LOGGING_LEVEL", None)
    # In the Python of conda and of the system, on Windows, pytest.exe is not beside python.exe
    monkeypatch.setattr("sysconfig.get_path", {"scripts": "/Scripts"}.get)
    set_defaults()
    assert os.environ["MLFLOW_LOGGING_LEVEL"] == "WARNING"
    assert os.get_exec_path()[:2] == [str(Path(sys.executable).parent), "/Scripts"]


@pytest.mark.skipif(sys.flags.utf8_mode, reason="this Python writes UTF-8 anyway")
def test_a_character_that_a_stream_does_not_know_ends_nothing(monkeypatch):
    """Such as a pipe of Windows, and what a file name without an encoding has become."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "cp1252"))
    use_utf8()
    print("→ \udc80", end="", flush=True)
    assert written.getvalue().decode("utf-8") == "→ ?"
