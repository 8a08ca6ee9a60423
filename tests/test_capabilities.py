"""What MLpipeline.md lists under "What you can delete" can be deleted."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, clone, type_in
from small import make_small

_, _, SECTION = (ROOT / "MLpipeline.md").read_text().partition("\n## What you can delete\n")
ROWS = [line for line in SECTION.partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
PARTS = {row.split("|")[1].strip(): row for row in ROWS}
# Parts that tests of others may need by mistake: for these the fast tests are run, else collected
MANY_USE = {"sweeps", "W&B", "your own storage", "serving"}
KNOW_NO_PART = "--ignore=tests/_utils/tabular --ignore=tests/_utils/pages"
CONDA_FILES = ["environment.yml", "conda.yml", "src/*/conda.yml"]
CONDA_FILES += ["cookie-mlflow-step/templates/conda.*.yml"]


def delete(folder: Path, part: str) -> None:
    """Delete all that the row of a part names in a clone."""
    _, _, files, lines, packages, sections, _ = PARTS[part].split("|")
    for name in re.findall("`(.*?)`", files):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for document in ("README.md", "MLpipeline.md"):
            edit(folder / document, without_lines, f"── {path.name} ")
    for file, text in re.findall("`(.*?): (.*?)`", lines):
        is_yaml = file.endswith(".yaml") or file == "MLproject"
        edit(folder / file, without_key if is_yaml else without_lines, text)
    for package in re.findall("`(.*?)`", packages):
        for file in (path for pattern in CONDA_FILES for path in folder.glob(pattern)):
            edit(file, without_lines, f"- {package}")
    for document, anchor in re.findall(r"\((\S+\.md)#(\S+)\)", sections):
        edit(folder / document, without_section, anchor)
    edit(folder / "MLpipeline.md", without_lines, PARTS[part])


def edit(file: Path, change: Callable[[str, str], str], what: str) -> None:
    file.write_text(change(file.read_text(encoding="utf-8"), what), encoding="utf-8")


def without_lines(text: str, part: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if part not in line)


def without_key(text: str, key: str) -> str:
    """YAML without a dotted key, what is below it, and the comment above it."""
    kept, comment, path = [], [], []
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            comment.append(line)
            continue
        indent, word = len(line) - len(line.lstrip()), stripped.removeprefix("- ").partition(":")[0]
        path = [*((depth, outer) for depth, outer in path if depth < indent), (indent, word)]
        if not f"{'.'.join(word for _, word in path)}.".startswith(f"{key}."):
            kept += [*comment, line]
        comment = []
    return "".join([*kept, *comment])


def without_section(text: str, anchor: str) -> str:
    """Markdown without the section that GitHub gives this anchor, and those below it."""
    kept, level = [], 0
    for line in text.splitlines(keepends=True):
        if found := re.match("(#+) (.*)", line):
            title = re.sub(r"[^\w\- ]", "", found[2].lower()).replace(" ", "-")
            if title == anchor:
                level = len(found[1])
            elif len(found[1]) <= level:
                level = 0
        kept += [] if level else [line]
    return "".join(kept)


def check(folder: Path, command: str) -> str:
    ran = type_in(folder, command)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.mark.slow
def test_all_can_be_deleted_at_once(tmp_path):
    folder = clone(tmp_path / "project")
    for part in PARTS:
        delete(folder, part)
    check(folder, "ruff check . && ruff format --check .")
    check(folder, "python main.py main.plan=true")
    make_small(folder)
    check(folder, "python main.py")
    parts = {"-m main.experiment_name=a,b": "sweeps", "main.backend=slurm": "backends/slurm"}
    for asked, part in parts.items():
        refused = type_in(folder, f"python main.py {asked}")
        assert refused.returncode == 1
        assert f"needs src/_utils/{part}, which this project deleted" in refused.stdout
        assert "Traceback" not in refused.stdout


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("part", PARTS)
def test_each_can_be_deleted_alone(tmp_path, part):
    only = KNOW_NO_PART if part in MANY_USE else "--collect-only"
    folder = clone(tmp_path / "project")
    delete(folder, part)
    check(folder, "ruff check . && ruff format --check . && PYTHONPATH=src lint-imports --no-logo")
    check(folder, "python main.py main.plan=true")
    check(folder, f"python -m pytest --quiet -m 'not slow and not nightly' {only}")
