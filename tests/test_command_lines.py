"""The commands of all MLproject files, as bash and as Windows' cmd hand them to the components."""

import shlex
import subprocess
from functools import cache
from types import SimpleNamespace

import pytest
from conftest import ROOT, needs
from cookiecutter.main import cookiecutter
from documents import commands
from mlflow.projects.backend import local
from mlflow.projects.utils import load_project
from mlflow.utils import string_utils
from windows import after_switch_c, arguments_of, through_cmd

from _utils.command_line import as_line, rejoined
from _utils.errors import UserError
from _utils.pipeline.backend import LocalBackend
from _utils.pipeline.compose import hydra_arguments

VALUES = [
    "",
    "a b",
    '{"a": [1, "x y"], "b": null}',
    '["a","b"]',
    "C:\\Program Files\\data\\",
    "C:\\data\\",
    "it's 'x'",
    "x=1 y='a, b' z=range(1,100,2) -m",
    '50 % & more <x> | "q" ^ !',
    "a&b|c>d^e",
    '%PATH% and "%PATH%"',
    "%PATH%",
    '\\"\\\\" \\',
]
VARIABLES = {"PATH": "what nobody meant"}
MLFLOWS_START, START = local._run_entry_point, LocalBackend().start
SCRIPTS = ["run.py", "run.ipynb", "run.sh"]
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("src/*/MLproject"))
PLACES = [".", *(f"src/{name}" for name in COMPONENTS), *SCRIPTS]
# Of a shell: says what a program is started with
SPY = r"""
for name in python pytest bash; do
    eval "$name() { printf '%s\0' $name \"\$@\"; }"
done
"""


@pytest.fixture(scope="module")
def entry_points_of(tmp_path_factory):
    """The entry points of a folder, or of what the scaffold makes for a script of this name."""

    @cache
    def entry_points_of(place: str):
        folder = ROOT / place
        if place in SCRIPTS:
            names = "one, two:int=3, input_artifact:artifact=raw_data.parquet:latest"
            answers = {"step_name": "my_step", "script_name": place, "parameters": names}
            folder = cookiecutter(
                str(ROOT / "cookie-mlflow-step"),
                no_input=True,
                extra_context={**answers, "_register": "no"},
                output_dir=str(tmp_path_factory.mktemp("scaffold")),
            )
        return load_project(str(folder))._entry_points.values()

    return entry_points_of


@pytest.fixture
def on_windows(monkeypatch):
    """MLflow quotes as it does on Windows; returns what is started there."""
    started = []
    for module in string_utils, local:
        monkeypatch.setattr(module, "is_windows", lambda: True)

    def popen(line, **others):
        started.append(line)
        return SimpleNamespace(stdout=None)

    def start(command: str, how=START) -> list[str]:
        """What the program gets that this command starts."""
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", popen)
            how(command, ".", "0", "run")
        line = started.pop()
        line = line if isinstance(line, str) else subprocess.list2cmdline(line)
        return arguments_of(through_cmd(after_switch_c(line), VARIABLES))

    return start


def in_bash(*commands: str) -> list[list[str]]:
    """What each command starts a program with."""
    needs("bash")
    lines = "".join(f"{command}\nprintf '\\n\\0'\n" for command in commands)
    ran = subprocess.run(["bash", "-c", SPY + lines], capture_output=True, check=True)
    return [words.split("\0")[:-1] for words in ran.stdout.decode().split("\n\0")[:-1]]


def meant(entry_point, values: dict[str, str]) -> list[str]:
    """What the program is to get: no word of an MLproject's command has a space but in a value."""
    return [word.format(**values) for word in entry_point.command.split()]


def cases(entry_points):
    """Each entry point with each value, its parameters having all of them in turn."""
    for entry_point in entry_points:
        for shift in range(len(VALUES)):
            values = [*VALUES[shift:], *VALUES[:shift]]
            yield entry_point, dict(zip(entry_point.parameters, values, strict=False))


@pytest.mark.parametrize("place", PLACES)
def test_bash(place, entry_points_of):
    tried = [*cases(entry_points_of(place))]
    arrived = in_bash(*(entry_point.compute_command(values, None) for entry_point, values in tried))
    assert arrived == [meant(*each) for each in tried]


@pytest.mark.parametrize("place", PLACES)
def test_windows(place, entry_points_of, on_windows):
    for entry_point, values in cases(entry_points_of(place)):
        command = entry_point.compute_command(values, None)
        assert on_windows(command) == meant(entry_point, values)


# What main.py gets on Windows, where `mlflow run .` itself starts it
OPTIONS = [
    "",
    "x=1",
    "x=1 y=2 -m",
    "x=[a,b] y={a: 1, b: 2}",
    "x='a, b' y='C:\\some folder\\x.csv'",
    "x='a & b' y='<|>'",
]
OPTIONS += [
    word.partition("=")[2]
    for document in ("README.md", "MLpipeline.md")
    for command in commands(document)
    for word in shlex.split(command)
    if word.startswith("hydra_options=")
]


@pytest.mark.parametrize("steps", ["", "a", "a, b"])
def test_mlflow_run_on_windows(entry_points_of, on_windows, steps):
    main = next(each for each in entry_points_of(".") if each.name == "main")
    for options in OPTIONS:
        values = {"steps": steps, "hydra_options": options}
        command = main.compute_command(values, None)
        _, _, *arrived = on_windows(command, how=MLFLOWS_START)
        _, _, *typed = meant(main, values)
        assert hydra_arguments(rejoined(arrived, on_windows=True)) == hydra_arguments(typed)


LOST = ['x="a b" y=1', 'x="a"', 'x="" -m', '"', "x='50 %' y=1", "x='a !'", "x='%PATH%' y=1"]


@pytest.mark.parametrize("value", LOST)
@pytest.mark.parametrize("name", ["main", "serve", "new_project"])
def test_what_mlflow_run_cannot_pass_on_is_refused_on_windows(
    entry_points_of, on_windows, name, value
):
    """If this fails MLflow has mended it: then take it out of README.md and MLpipeline.md."""
    entry_point = next((each for each in entry_points_of(".") if each.name == name), None)
    if not entry_point:
        pytest.skip("this project deleted it")
    values = {parameter: "" for parameter in entry_point.parameters}
    values |= {"data" if name == "new_project" else "hydra_options": value}
    command = entry_point.compute_command(values, None)
    _, _, *arrived = on_windows(command, how=MLFLOWS_START)
    with pytest.raises(UserError, match=r"`mlflow run` cannot pass on .* Use `python "):
        rejoined(arrived, on_windows=True)


def test_what_cmd_was_given_is_looked_at_too(monkeypatch):
    """White space arrives as one space, and %X% may arrive as the value of that variable."""
    monkeypatch.setattr("_utils.command_line.given_to_cmd", lambda: 'python main.py --x="a  b\nc"')
    assert rejoined(['--x="a', 'b"'], on_windows=True) == ["--x=a  b\nc"]
    monkeypatch.setattr("_utils.command_line.given_to_cmd", lambda: "python main.py --x=^%X^%")
    with pytest.raises(UserError, match='cannot pass on a value with ", % or !'):
        rejoined(["--x=1"], on_windows=True)


def test_what_mlflow_run_breaks_on_windows_is_among_the_known_issues(entry_points_of, on_windows):
    (component,) = entry_points_of("src/promotion")
    values = {"registered_model": "a b", "version": ""}
    arrived = on_windows(component.compute_command(values, None), how=MLFLOWS_START)
    assert arrived != meant(component, values)
    assert "quotes a command twice" in (ROOT / "MLpipeline.md").read_text()


def test_elsewhere_arguments_stay_as_they_are():
    assert rejoined(['--x="a', 'b"'], on_windows=False) == ['--x="a', 'b"']
    assert hydra_arguments(['--steps=""', "--hydra-options=''", "--port="]) == []


def test_a_command_that_is_told_can_be_typed(monkeypatch):
    words = ["mlflow", "run", ".", "-P", "hydra_options=x=1 y='a'"]
    assert in_bash(f"python {as_line(words)}") == [["python", *words]]
    monkeypatch.setattr("_utils.command_line.os.name", "nt")
    line = as_line(words)
    monkeypatch.undo()
    assert arguments_of(through_cmd(line, VARIABLES)) == words
