import ast
import json

import pytest
from answers import DEFAULTS, TAKEN, TYPES, all_faults
from jinja2 import Environment
from local_extensions import notebook

from _utils.project import TYPES as TYPES_OF_MLPROJECTS


@pytest.mark.parametrize(
    "name",
    ["", "../a", "a\\b", "a.b", "a b", "ä", "1a", "_a", "class", "json", "on", "a" * 101, "Aux"],
)
def test_names(name):
    (fault,) = all_faults(name, "run.py", "")
    assert f"step_name '{name}' cannot be a component's name" in fault


@pytest.mark.parametrize(
    "script", ["", "a/run.py", "../run.py", "run", "run.R", "json.py", "con.py"]
)
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
        ("a:text", "'a' has the unknown type 'text': choose from string, int"),
        ("a:int=x", "'a' of type int cannot have the default 'x'"),
        ("a:float=", "'a' of type float cannot have the default ''"),
        ("a:bool=1", "'a' of type bool cannot have the default '1'"),
        ('a:json={"b"', "'a' of type json cannot have the default '{\"b\"'"),
        ("a:artifact", "'a' of type artifact needs a default: name:version of one to use"),
        ("a:artifact=x.csv", "cannot have the default 'x.csv': give name:version of one to use"),
        ("a:output=x:latest", "cannot have the default 'x:latest': give the name of an artifact"),
        ("a:model=cars", "cannot have the default 'cars': give models:/name@alias"),
    ],
)
def test_parameters(parameters, told):
    (fault,) = all_faults("my_step", "run.py", parameters)
    assert told in fault


def test_the_types_are_those_of_an_mlproject():
    assert [*TYPES] == [name for name in TYPES_OF_MLPROJECTS if name not in ("path", "uri")]
    defaults = ["a:latest", "a", "a", "a.csv", "models:/a@champion"]
    typed = [f"p_{kind}:{kind}={text}" for kind, text in zip(DEFAULTS, defaults, strict=True)]
    assert all_faults("my_step", "run.py", f"{', '.join(typed)}, old:str=a") == []


def test_a_shell_has_names_in_capitals_itself():
    (fault,) = all_faults("my_step", "run.sh", "PATH")
    assert "small letters" in fault


@pytest.mark.parametrize("name", ["h", "hel", "args", "self", "run_id", "target", "notebook", "id"])
def test_names_that_a_component_may_use(name):
    assert not all_faults("my_step", "run.ipynb", name)


def test_no_parameter_has_a_name_that_the_notebook_uses_itself():
    parameters = "one:json=1, in_artifact:artifact=a:latest, out_artifact:output=a"
    answers = dict.fromkeys(["step_name", "job_type", "short_description", "long_description"], "x")
    as_notebook = Environment(extensions=[notebook]).filters["notebook"]
    cells = json.loads(as_notebook({**answers, "parameters": parameters}))["cells"]
    nodes = [node for cell in cells[1:] for node in ast.walk(ast.parse(cell["source"]))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.name for node in nodes if isinstance(node, ast.alias)}
    assert names - {"str", "one", "in_artifact", "out_artifact"} < TAKEN
