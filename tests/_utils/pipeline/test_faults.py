"""What is wrong between an MLproject, its command and the values in the config, without a run."""

import pytest

from _utils.pipeline.faults import in_project
from _utils.pipeline.plan import Component, defaults

TYPED = "main: {parameters: {x: float, n: {type: int, default: 3}, u: uri, p: path}, command: "


def faults(folder, entry_points, **given):
    (folder / "MLproject").write_text(f"entry_points: {{{entry_points}}}\n")
    return [*in_project(Component("step", folder, defaults(folder) | given))]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python run.py --x={x} --y={y}", []),
        ("echo {x} {x} {y}", []),  # twice
        ("awk '{{print $1}}' {x} {y} ${{HOME}}", []),
        ("python run.py --x={x}", ["parameter 'y' does nothing, since the command does not name"]),
        ("python run.py", ["parameter 'x' does nothing", "parameter 'y' does nothing"]),
        ("echo {x} {y} {xx}", ["has {xx}, which is no parameter of it: did you mean {x}?"]),
        ("echo {x} {y} ${HOME}", ["has {HOME}, which is no parameter of it: declare a parameter."]),
        ("awk '{print $1}' {x} {y}", ["has {print $1}, which is no"]),
        ("echo {x} {y} {}", ["has {}, which is no parameter of it"]),
        ("echo {x.real} {y}", ["has {x.real}, which", "parameter 'x' does nothing"]),
        ("echo {x} {y", ["the command cannot be read: expected '}' before end of string. Braces"]),
        ("echo {x} {y} }", ["the command cannot be read: Single '}' encountered"]),
        ("echo {x:d} {y}", ["the command cannot be read: Unknown format code 'd'"]),
        ("", ["the entry point main has no command"]),
        ("   ", ["the entry point main has no command"]),
    ],
)
def test_the_command_names_each_parameter_and_nothing_else(tmp_path, command, told):
    parameters = "parameters: {x: string, y: {type: string, default: '1'}}"
    found = faults(tmp_path, f"main: {{{parameters}, command: {command!r}}}", x="1")
    assert len(found) == len(told), found
    assert all(part in text for part, text in zip(told, found, strict=True)), found


@pytest.mark.parametrize(
    ("entry_points", "told"),
    [
        ("main: {}", "the entry point main has no command: add one"),
        ("main: {command: [a, b]}", "the entry point main has no command: add one"),
        ("train: {command: a}", "Could not find main among entry points ['train']"),
        ("", "Could not find main among entry points []"),
        ("main:", "MLproject cannot be read: "),
        ("main: a", "MLproject cannot be read: "),
        ("main: {parameters: [x], command: a}", "MLproject cannot be read: "),
        ("main: {parameters: {x: }, command: a}", "MLproject cannot be read: "),
        ("main: {", "MLproject cannot be read: "),
    ],
)
def test_an_mlproject_that_mlflow_cannot_use(tmp_path, entry_points, told):
    (found,) = faults(tmp_path, entry_points)
    assert told in found and "\n" not in found


def test_values_are_of_their_types(tmp_path):
    entry_points = f'{TYPED} "{{x}} {{n}} {{u}} {{p}}"}}'
    good = {"x": "1e-3", "u": "s3://a/b", "p": str(tmp_path)}
    assert not faults(tmp_path, entry_points, **good)
    assert not faults(tmp_path, entry_points, **good | {"p": "s3://a/b", "x": ""})
    bad = {"x": "abc", "n": "1.5", "u": "a", "p": f"{tmp_path}/b"}
    found = faults(tmp_path, entry_points, **bad)
    assert [text.split(":")[0] for text in found] == [
        f"components.step.parameters.{k}" for k in bad
    ]
    assert "'abc' is not of the type that MLproject declares, float." in found[0]
