"""What an MLproject declares, with its short forms, and with what MLflow cannot use."""

import pytest

from _utils.errors import UserError
from _utils.project import Parameter, Project, read_project

PARAMETERS = """
short: float
text: {type: str, description: Any text}
number: {default: 3}
flag: {type: bool, default: true}
columns: {type: json, default: [a, b]}
nothing: {type: int, default: ""}
required: {type: artifact, default: null}
"""


@pytest.fixture
def read(tmp_path):
    """Reads an MLproject with these entry points."""

    def read(entry_points):
        (tmp_path / "MLproject").write_text(f"entry_points: {entry_points}\n")
        return read_project(tmp_path)

    return read


def test_all_forms_of_a_parameter(read):
    lines = ", ".join(PARAMETERS.strip().splitlines())
    project = read(f"{{main: {{parameters: {{{lines}}}, command: 'echo {{short}}'}}}}")
    assert project.command == "echo {short}"
    assert [*project.parameters.values()] == [
        Parameter("short", "float"),
        Parameter("text", "string", None, "Any text"),
        Parameter("number", "string", "3"),
        Parameter("flag", "bool", "true"),
        Parameter("columns", "json", '["a", "b"]'),
        Parameter("nothing", "int", ""),
        Parameter("required", "artifact"),
    ]
    assert [*project.defaults] == ["number", "flag", "columns", "nothing"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", " a ", " a "),
        ("string", "", ""),
        ("int", "-3", -3),
        ("float", "1e-3", 0.001),
        ("bool", "true", True),
        ("bool", "False", False),
        ("json", '{"a": [null]}', {"a": [None]}),
        ("json", "null", None),
        ("artifact", "a.csv:latest", "a.csv:latest"),
        ("url", "a.csv", "a.csv"),
        ("uri", "s3://a", "s3://a"),
        *((kind, "", None) for kind in ("int", "float", "bool", "json", "artifact", "url", "path")),
    ],
)
def test_a_text_becomes_a_value_of_the_type(kind, text, value):
    assert Parameter("x", kind, default="").parse(text) == value


def test_names_tell_nothing_where_types_are_declared():
    def types(**declared):
        project = Project({name: Parameter(name, type) for name, type in declared.items()})
        values = {"in_artifact": "a:latest", "artifact_name": "a", "x_url": "a", "m": "models:/a@b"}
        return [project.type_of(name, value) for name, value in values.items()]

    assert types() == ["artifact", "output", "url", "model"]
    assert types(x_url="string", n="int") == ["artifact", "output", "url", "model"]
    # A text that names a model is one, or a run would be reused for another model
    assert types(x_url="string", n="json") == ["string", "string", "string", "model"]
    assert types(x_url="json", artifact_name="model_output")[1:3] == ["model_output", "json"]


@pytest.mark.parametrize(
    ("entry_points", "told"),
    [
        ("{train: {command: a}}", "Could not find main among entry points ['train']"),
        ("{}", "Could not find main among entry points []"),
        ("{main: a}", "MLproject cannot be read: "),
        ("{main: {parameters: [x], command: a}}", "MLproject cannot be read: "),
        ("{main: {parameters: {x: }, command: a}}", "MLproject cannot be read: "),
        ("{main: {", "MLproject cannot be read: "),
    ],
)
def test_an_mlproject_that_mlflow_cannot_use(read, entry_points, told):
    with pytest.raises(UserError) as refused:
        read(entry_points)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_no_mlproject_and_no_folder(tmp_path):
    with pytest.raises(UserError, match="has no MLproject: copy one from another component"):
        read_project(tmp_path)
    with pytest.raises(UserError, match="component 'lost' has no folder src/lost: make it with"):
        read_project(tmp_path / "lost")
