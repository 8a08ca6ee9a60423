import pytest
from answers import all_faults


@pytest.mark.parametrize(
    "name",
    ["", "/tmp/x", "a/b", "a\\b", "a.b", "a b", "ä", "1a", "_a", "class", "json", "../a"],
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
