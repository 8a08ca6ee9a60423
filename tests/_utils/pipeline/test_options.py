import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import given
from hypothesis import strategies as st

from _utils.errors import UserError
from _utils.pipeline.compose import hydra_arguments, split_options


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ("", []),
        ("  x=1   y=2 ", ["x=1", "y=2"]),
        ("x='a, b' y=[1, 2]", ["x='a, b'", "y=[1, 2]"]),
        ("'x=a b' y=2", ["x=a b", "y=2"]),
        (r"x='it\'s' y=2", [r"x='it\'s'", "y=2"]),
        ("x={a: 1, b: 2}", ["x={a: 1, b: 2}"]),
        ("x=range(1, 100, 2) -m", ["x=range(1, 100, 2)", "-m"]),
        ("x=$(rm -rf y);`id`", ["x=$(rm -rf y);`id`"]),
    ],
)
def test_options_split_outside_quotes_and_brackets(options, tokens):
    assert split_options(options) == tokens


def test_an_open_quote_is_refused():
    with pytest.raises(UserError, match="not closed"):
        split_options("x='a")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="$\\")), max_size=4))
def test_quoted_values_arrive_unchanged(values):
    tokens = [f"x={QuotedString(value, Quote.single).with_quotes()}" for value in values]
    arrived = [
        OverridesParser.create().parse_override(token).value()
        for token in split_options(" ".join(tokens))
    ]
    assert [value.text if hasattr(value, "text") else value for value in arrived] == values


def test_flags_come_first_and_steps_are_no_sweep():
    arguments = hydra_arguments(["--steps=a, b", "--hydra-options=x=1,2 -m y=3"])
    assert arguments == ["-m", "main.steps=[a,b]", "x=1,2", "y=3"]


def test_flags_come_before_the_overrides_of_an_entry_point_and_of_a_user():
    planned = hydra_arguments(["--steps=", "--hydra-options=x=1,2 -m", "main.plan=true"])
    assert planned == ["-m", "main.plan=true", "x=1,2"]
    assert hydra_arguments(["x=1", "-m", "--steps=eda"]) == ["-m", "x=1", "main.steps=eda"]


def test_empty_parameters_and_hydras_own_arguments_change_nothing():
    assert hydra_arguments(["--steps=", "--hydra-options=", "--port="]) == []
    assert hydra_arguments(["--cfg", "job", "x=1"]) == ["--cfg", "job", "x=1"]


def test_an_unknown_parameter_is_refused():
    with pytest.raises(UserError, match="unknown parameter 'step': there are steps and"):
        hydra_arguments(["--steps=", "--hydra-options=", "--step", "eda"])


@pytest.mark.parametrize("steps", ["1", "true", "null", "nan", "[a]", "it's", "${x}"])
def test_steps_arrive_as_they_were_typed(steps):
    (argument,) = hydra_arguments([f"--steps={steps}"])
    value = OverridesParser.create().parse_override(argument).value()
    assert (value.text if hasattr(value, "text") else value) == steps


@pytest.mark.parametrize("steps", ["a, b", "a,b,", "1,true,it's"])
def test_several_steps_are_a_list(steps):
    (argument,) = hydra_arguments([f"--steps={steps}"])
    value = OverridesParser.create().parse_override(argument).value()
    texts = [each.text if hasattr(each, "text") else each for each in value]
    assert texts == [each.strip() for each in steps.split(",") if each]


def test_a_port_belongs_to_the_entry_point_serve():
    assert hydra_arguments(["--steps=serving", "--port=81"])[-1] == "serving.port='81'"
    with pytest.raises(UserError, match="unknown parameter 'port'"):  # as `-P port=81` of `main`
        hydra_arguments(["--port", "81"])
