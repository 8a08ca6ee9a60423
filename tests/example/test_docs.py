"""README.md and MLpipeline.md: links resolve, commands are known, options exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hydra import compose, initialize_config_dir

from _utils.pipeline.options import check_overrides, hydra_arguments

DOCS = [ROOT / name for name in ("README.md", "MLpipeline.md", "CONTRIBUTING.md")]
DOCS += [ROOT / "notebooks/README.md", ROOT / "cookie-mlflow-step/README.md"]
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def headings(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in kept}


def commands(document: Path, first: str) -> list[str]:
    """The lines of code blocks that begin with a word."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(first)]


@pytest.mark.parametrize("document", DOCS, ids=name_of)
def test_links_resolve(document):
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("document", DOCS, ids=name_of)
def test_files_that_are_named_exist(document):
    named = re.findall(
        r"`((?:src|tests|resources|schedules|k8s|search|notebooks)/[\w./-]+)`", document.read_text()
    )
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_what_to_read_names_each_module():
    section = re.search(
        r"### Reading the code(.*?)\n## ", (ROOT / "MLpipeline.md").read_text(), re.DOTALL
    )[1]
    named = {Path(name).name for name in re.findall(r"`([\w./]+)`", section)}
    utils, pipeline = ROOT / "src/_utils", ROOT / "src/_utils/pipeline"
    there = {path.name for path in [*utils.iterdir(), *pipeline.iterdir(), ROOT / "main.py"]}
    there -= {"__init__.py", "__pycache__", "pipeline"}
    assert named - {"_utils"} == there


def test_the_tree_of_the_readme_is_that_of_the_repository():
    tree = re.search(r"├── MLproject.*?```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    top = re.findall(r"^[├└]── ([\w.-]+)", tree, re.MULTILINE)
    inner = re.findall(r"^    [├└]── (\w+)", tree, re.MULTILINE)
    assert all((ROOT / name).exists() for name in top)
    here = {path.parent.name for path in ROOT.glob("src/*/MLproject")} | {"_utils"}
    assert {*inner} == here


RUNS = [(d, c) for d in DOCS[:2] for c in commands(d, "mlflow run .")]


@pytest.mark.parametrize(("document", "command"), RUNS, ids=[command for _, command in RUNS])
def test_a_command_has_options_that_exist(document, command):
    """Entry points, parameters, and overrides; other tests type them."""
    words = shlex.split(command)[3:]
    options = {"-P": {}, "-e": "main", "-v": None, "--env-manager": None}
    while words:
        option, value, *words = words
        assert option in options
        if option == "-P":
            key, _, text = value.partition("=")
            options["-P"][key] = text
        else:
            options[option] = value
    declared = MLPROJECT["entry_points"][options["-e"]]["parameters"]
    assert {*options["-P"]} <= {*declared}
    given = options["-P"]
    steps, overrides = given.get("steps", ""), given.get("hydra_options", "")
    arguments = hydra_arguments([f"--steps={steps}", f"--hydra-options={overrides}"])
    check_overrides(arguments, ROOT / "config.yaml")
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        config = compose("config")
    known = {*config.components, *config.main.aliases, "all"}
    assert {step for step in steps.split(",") if step} <= known


def test_make_targets_exist():
    for document in DOCS:
        for command in commands(document, "make"):
            assert {*command.split()[1:]} <= MAKE_TARGETS, command


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 300
