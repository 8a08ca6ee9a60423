"""README.md and MLpipeline.md: links resolve, options exist, and tests type the commands."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from documents import commands, typed_by_tests
from hydra import compose, initialize_config_dir

from _utils.errors import UserError
from _utils.pipeline.compose import compose_config
from _utils.pipeline.options import hydra_arguments

DOCS = ["README.md", "MLpipeline.md", "CONTRIBUTING.md"]
DOCS += ["notebooks/README.md", "cookie-mlflow-step/README.md"]
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# Commands that no test types, and why
UNTYPED = {
    "make test": "it is what runs the tests",
    "make test-fast": "it is what runs some of the tests",
    "make lint test": "CI runs it",
    "conda env create -f environment.yml": "there is no conda here; a double has no packages",
    "conda activate base_project_env": "there is no conda here",
    'pip install mlflow "psycopg[binary]"': "both are installed for the tests",
}


def headings(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in kept}


@pytest.mark.parametrize("document", DOCS)
def test_links_resolve(document):
    document = ROOT / document
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("document", DOCS)
def test_files_that_are_named_exist(document):
    named = re.findall(
        r"`((?:src|tests|resources|schedules|k8s|search|notebooks)/[\w./-]+)`",
        (ROOT / document).read_text(),
    )
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_the_tree_of_the_readme_is_that_of_the_repository():
    tree = re.search(r"├── MLproject.*?```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    top = re.findall(r"^[├└]── ([\w.-]+)", tree, re.MULTILINE)
    inner = re.findall(r"^    [├└]── (\w+)", tree, re.MULTILINE)
    assert all((ROOT / name).exists() for name in top)
    here = {path.parent.name for path in ROOT.glob("src/*/MLproject")} | {"_utils"}
    assert {*inner} == here


RUNS = [each for name in DOCS[:2] for each in commands(name) if each.startswith("mlflow run .")]


def test_every_command_is_typed_by_a_test():
    """As it stands in the document, or with a small change: an address, fewer values."""
    every = {each for name in DOCS for each in commands(name)}
    assert every - typed_by_tests() == {*UNTYPED}


@pytest.mark.parametrize("command", RUNS)
def test_a_command_has_options_that_exist(command):
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
    try:
        compose_config(arguments, ROOT)
    except UserError as error:  # of an optimiser or launcher that does not come with the template
        assert "Could not find 'hydra/" in str(error)
    with initialize_config_dir(str(ROOT), version_base="1.3"):
        config = compose("config")
    known = {*config.components, *config.main.aliases, "all"}
    assert {step for step in steps.split(",") if step} <= known


def test_make_targets_exist():
    made = {each for name in DOCS for each in commands(name) if each.split()[0] == "make"}
    assert {target for each in made for target in each.split()[1:]} <= MAKE_TARGETS


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 300
