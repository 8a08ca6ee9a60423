"""Faults of a component that need no run: its MLproject, its command, its values."""

import pytest

from _utils.pipeline.component import Component
from _utils.pipeline.faults import faults_of
from _utils.project import read_project

EACH_TYPE = {
    "s": "string",
    "i": "int",
    "f": "float",
    "b": "bool",
    "j": "json",
    "a": "artifact",
    "o": "output",
    "n": "model_output",
    "u": "url",
    "m": "model",
    "p": "path",
    "r": "uri",
}


@pytest.fixture
def faults(tmp_path):
    """The faults of a component with these parameters, this command, and these values."""
    folder = tmp_path / "src/step"
    folder.mkdir(parents=True)

    def faults(parameters, command, values):
        main = f"{{parameters: {parameters}, command: {command!r}}}"
        (folder / "MLproject").write_text(f"entry_points: {{main: {main}}}\n")
        project = read_project(folder)
        values = project.defaults | values
        return [*faults_of(Component("step", folder, values, project=project))]

    return faults


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python run.py --x={x} --y={y}", []),
        ("echo {x} {x} {y}", []),
        ("awk '{{print $1}}' {x} {y} ${{HOME}}", []),
        ("python run.py", ["not name the parameter 'x', so it has", "not name the parameter 'y'"]),
        ("echo {x} {y} {xx}", ["names {xx}, which is not a parameter: did you mean 'x'?"]),
        (
            "echo {x} {y} ${HOME}",
            ["names {HOME}, which is not a parameter: declare the parameter."],
        ),
        ("echo {x} {y", ["the command cannot be read: expected '}' before end of string. Braces"]),
        ("   ", ["the entry point main has no command"]),
    ],
)
def test_the_command_names_each_parameter_and_nothing_else(faults, command, told):
    found = faults("{x: string, y: {default: '1'}}", command, {"x": "1"})
    assert len(found) == len(told), found
    assert all(part in text for part, text in zip(told, found, strict=True)), found


def test_values_of_each_type(faults, scratch_store, tmp_path):
    (tmp_path / "data.csv").write_text("a\n")
    command = " ".join(f"{{{name}}}" for name in EACH_TYPE)
    declared = "{" + ", ".join(f"{name}: {type}" for name, type in EACH_TYPE.items()) + "}"
    good = {
        **{"s": "", "i": "-1", "f": "1e-3", "b": "true", "j": "[1]", "a": "x.csv:latest"},
        **{"o": "x.csv", "n": "forest", "u": "data.csv", "m": "models:/cars@champion"},
        **{"p": str(tmp_path), "r": "s3://bucket/x"},
    }
    assert faults(declared, command, good) == []
    assert faults(declared, command, good | {"u": "s3://bucket/x", "p": "s3://bucket/x"}) == []
    bad = {
        "i": ("1.5", "'1.5' is not of the type int: write a whole number, such as 42."),
        "f": ("abc", "'abc' is not of the type float: write a number"),
        "b": ("yes", "'yes' is not of the type bool: write true or false."),
        "j": ("[1", "'[1' is not of the type json: write JSON"),
        "a": ("x.csv", "'x.csv'"),
        "o": ("a/b", "'a/b'"),
        "n": ("x:latest", "'x:latest'"),
        "u": ("no.csv", f"there is no file '{tmp_path / 'no.csv'}'. A path starts at"),
        "m": ("models:/o'brien@champion", "'o'brien'"),
        "p": ("nowhere", "there is no file"),
        "r": ("a", "'a' is not of the type uri"),
    }
    found = faults(declared, command, good | {name: value for name, (value, _) in bad.items()})
    for text, (name, (_, told)) in zip(found, bad.items(), strict=True):
        assert text.startswith(f"components.step.parameters.{name}: ") and told in text
    # All values are required, and only a string may be empty
    empty = faults(declared, command, dict.fromkeys(EACH_TYPE, ""))
    assert len(empty) == len(EACH_TYPE) - 1
    assert all("a value is required" in text for text in empty)


def test_a_parameter_with_a_default_may_be_empty(faults):
    each = [f"{name}: {{type: {type}, default: ''}}" for name, type in EACH_TYPE.items()]
    command = " ".join(f"{{{name}}}" for name in EACH_TYPE)
    assert faults(f"{{{', '.join(each)}}}", command, {}) == []


@pytest.mark.parametrize(
    ("type", "cure"),
    [("flaot", "'float'"), ("integer", "'int'"), ("artefact", "'artifact'"), ("x", "choose from")],
)
def test_an_unknown_type_is_refused(faults, type, cure):
    (found,) = faults(f"{{x: {type}}}", "{x}", {"x": "1"})
    assert f"its MLproject has the unknown type '{type}': " in found and cure in found


def test_what_is_not_set_and_what_is_not_declared(faults):
    not_declared, not_set = faults("{x: string}", "{x}", {"y": "1"})
    assert "parameter 'y' of components.step in config.yaml is not declared" in not_declared
    assert not_set.endswith("there is no value: set components.step.parameters.x in config.yaml.")


def test_names_tell_the_types_in_an_mlproject_from_before(faults):
    names = ["in_artifact", "out_artifact", "artifact_name", "file_url", "n", "text"]
    declared = "{" + ", ".join(f"{name}: string" for name in names) + "}"
    values = dict.fromkeys(names, "a/b") | {"in_artifact": "a:/"}
    found = faults(declared, " ".join(f"{{{name}}}" for name in names), values)
    assert [text.split(":")[0].rpartition(".")[2] for text in found] == names[:4]
