import ast
import json

import pytest
from answers import TAKEN, all_faults
from jinja2 import Environment
from local_extensions import notebook


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/tmp/x",
        "a/b",
        "a\\b",
        "a.b",
        "a b",
        "ä",
        "1a",
        "_a",
        "class",
        "json",
        "../a",
        "on",
        "all",
        "a" * 101,
    ],
)
def test_names(name):
    (fault,) = all_faults(name, "run.py", "")
    assert f"step_name '{name}' cannot be a component's name" in fault


@pytest.mark.parametrize("script", ["", "a/run.py", "../run.py", "run", "run.R", "json.py"])
def test_scripts(script):
    (fault,) = all_faults("my_step", script, "")
    assert f"script_name '{script}' is not allowed" in fault


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("a,a", "'a' is given 2 times"),
        ("a,,b", "'' is no name"),
        ("a b", "'a b' is no name"),
        ("1a", "'1a' is no name"),
        ("class", "'class' is no name"),
        ("no", "'no' is no name"),
        ("a-b", "'a-b' is no name"),
        ("__class__", "'__class__' is no name"),  # which no object lets be set
        ("use_artifact:artifact=x:latest", "'use_artifact' is taken already"),
        ("help", "'help' is taken already"),
        ("a:text", "type 'text' is none of str, int"),
        ("a:int=x", "default 'x' is no int"),
        ("a:float=", "default '' is no float"),
        ("a:bool=1", "default '1' is no bool"),
        ('a:json={"b"', "is no json"),
        ("data_artifact:artifact", "no default is no artifact"),
        ("data_artifact:artifact=a/b", "default 'a/b' is no artifact"),
        ("data:artifact=x:latest", "ends with _artifact"),
    ],
)
def test_parameters(parameters, told):
    (fault,) = all_faults("my_step", "run.py", parameters)
    assert told in fault


def test_a_shell_has_names_in_capitals_itself():
    (fault,) = all_faults("my_step", "run.sh", "PATH")
    assert "small letters" in fault


@pytest.mark.parametrize("name", ["h", "hel", "args", "self", "run_id", "target", "notebook", "id"])
def test_names_that_a_component_may_use(name):
    assert not all_faults("my_step", "run.ipynb", name)


def test_no_parameter_has_a_name_that_the_notebook_uses_itself():
    parameters = "one:json=1, in_artifact:artifact=a:latest, out_artifact:artifact=a"
    answers = dict.fromkeys(["step_name", "job_type", "short_description", "long_description"], "x")
    as_notebook = Environment(extensions=[notebook]).filters["notebook"]
    cells = json.loads(as_notebook({**answers, "parameters": parameters}))["cells"]
    nodes = [node for cell in cells[1:] for node in ast.walk(ast.parse(cell["source"]))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.name for node in nodes if isinstance(node, ast.alias)}
    assert names - {"str", "one", "in_artifact", "out_artifact"} < TAKEN
