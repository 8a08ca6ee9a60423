"""README.md and the other documents: their links, files and commands exist."""

import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest
import yaml
from conftest import COMPONENTS, ROOT
from documents import commands

import tasks
from _utils.pipeline.compose import compose_config, hydra_arguments

README = (ROOT / "README.md").read_text()
DOCS = ["README.md", "MLpipeline.md", "CONTRIBUTING.md"]
DOCS += ["notebooks/README.md", "cookie-mlflow-step/README.md"]


def headings(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
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


def test_the_tree_is_that_of_the_repository():
    tree = re.search(r"├── MLproject.*?```", (ROOT / "MLpipeline.md").read_text(), re.DOTALL)[0]
    top = re.findall(r"^[├└]── ([\w.-]+)", tree, re.MULTILINE)
    inner = re.findall(r"^    [├└]── (\w+)", tree, re.MULTILINE)
    assert all((ROOT / name).exists() for name in top)
    here = {path.parent.name for path in ROOT.glob("src/*/MLproject")} | {"_utils"}
    assert {*inner} == here


# Programs that are not ours; tests that need their commands type them
NOT_OURS = {"source", "conda", "pip", "export", "curl", "git", "cd", "uv"}


def test_commands_name_what_exists():
    """Folders, tasks, entry points, parameters, components, and keys of config.yaml."""
    overrides, documents = [], ["README.md", "MLpipeline.md", "CONTRIBUTING.md"]
    for command in (command for document in documents for command in commands(document)):
        match shlex.split(command):
            case ["mlflow", "run", project, *options] if (ROOT / project / "MLproject").exists():
                overrides += overrides_of(ROOT / project, options)
            case ["python", "main.py", *arguments]:
                overrides += hydra_arguments(arguments)
            case ["python", "tasks.py", "run", *options]:
                overrides += overrides_of(ROOT, options)
            case ["python", "tasks.py", *words]:
                assert {*words} <= {*tasks.TASKS}, command
            case ["cookiecutter", template, "-o", folder]:
                assert (ROOT / template / "cookiecutter.json").exists(), command
                assert (ROOT / folder).is_dir(), command
            case ["mlflow", "run", url, "-v", _]:
                assert url.startswith("https://"), command
            case ["mlflow", "server", *_]:
                pass
            case [program, *_]:
                assert program in NOT_OURS, command
    # At once, for composing a config takes a third of a second. What chooses a sweeper or launcher
    # needs packages that do not come with the template, and brings keys of its own.
    chosen = ("+search=", "hydra/", "hydra.")
    checked = {each for each in overrides if not each.startswith(chosen)}
    flags_first = sorted(checked, key=lambda each: not each.startswith("-"))
    compose_config(flags_first, ROOT)


def overrides_of(project: Path, options: list[str]) -> list[str]:
    """Check the options of an `mlflow run`; returns what it overrides in the config."""
    parser = ArgumentParser(exit_on_error=False)
    for flag in ("--env-manager", "--experiment-name"):
        parser.add_argument(flag)
    parser.add_argument("-e", default="main")
    parser.add_argument("-P", action="append", default=[])
    parsed = parser.parse_args(options)
    declared = yaml.safe_load((project / "MLproject").read_text())["entry_points"][parsed.e]
    values = dict(each.split("=", 1) for each in parsed.P)
    assert {*values} <= {*declared["parameters"]}, options
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    names = {*config["components"], *config["main"]["aliases"], "all"}
    assert {*filter(None, values.get("steps", "").split(","))} <= names, options
    return hydra_arguments([f"--hydra-options={values.get('hydra_options', '')}"])


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 330


def test_the_component_of_the_readme_is_that_of_the_repository():
    source = (ROOT / "src/data_split/run.py").read_text()
    project = (ROOT / "src/data_split/MLproject").read_text()
    config = (ROOT / "config.yaml").read_text()
    (values,) = re.findall(r"^  # [^\n]*\n  data_split:\n(?:    .*\n)+", config, re.MULTILINE)
    blocks = re.findall(r"^```(?:python|yaml)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert blocks == [source, project, values]


def test_the_badges_are_true():
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    matrix = workflow["jobs"]["systems"]["strategy"]["matrix"]
    pythons, systems, licence = re.findall(r"^!\[(.*?)\]\(https://img", README, re.MULTILINE)
    assert pythons == f"Python {matrix['python'][0]} to {matrix['python'][-1]}"
    tested = {"ubuntu-latest": "Linux", "macos-latest": "macOS", "windows-latest": "Windows"}
    assert systems == ", ".join(tested[each] for each in matrix["os"])
    assert licence == f"License {(ROOT / 'LICENSE').read_text().split()[0]}"


def test_the_terminal_of_the_readme_shows_the_components():
    """Else make the pictures again: python resources/images/draw.py."""
    picture = (ROOT / "resources/images/terminal.svg").read_text()
    assert [name for name in COMPONENTS if name not in picture] == []
    assert "url(" not in picture.replace("url(#", "")  # it asks no other host
