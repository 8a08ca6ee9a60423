"""What takes from the environment stays as written until a component needs it."""

import os

import pytest
from omegaconf import OmegaConf

from _utils.component.shell import main as shell
from _utils.errors import UserError, explain
from _utils.variables import as_text, counted, kept_as_written, resolved, resolved_argument

ENVIRONMENT = {"DB_USER": "someone", "PW": "s3}cr'e\"t", "NUMBERS": "[1, 2]", "STAGE": "prod"}
WRITTEN = {
    "url": "postgresql://${oc.env:DB_USER}:${oc.env:PW}@${oc.env:HOST,localhost}/base",
    "bare": "${oc.env:PW}",
    "nothing": "${oc.env:UNSET,null}",
    "default": "${oc.env:UNSET,'a, b'}",
    "nested": "${oc.env:UNSET,${oc.env:PW}}",
    "decoded": "${oc.decode:${oc.env:NUMBERS}}",
    "tree": {"a": ["${oc.env:PW}", 1], "b": "${oc.decode:${oc.env:NUMBERS}}"},
}
OTHERS = {
    "key": "${url}?sslmode=require",
    "chosen": "${files.${oc.env:STAGE}}",
    "files": {"prod": "https://${oc.env:PW}@host/data.csv"},
    "escaped": "\\${HOME} costs $5 and ${oc.env:PW}",
    "number": 5,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def as_written(config):
    return OmegaConf.to_container(kept_as_written(config), resolve=True)


@pytest.fixture
def config():
    return OmegaConf.create(WRITTEN | OTHERS)


def test_nothing_of_the_environment_is_in_what_is_handed_on(config):
    written = as_written(config)
    assert {key: written[key] for key in WRITTEN} == WRITTEN
    assert written["key"] == f"{WRITTEN['url']}?sslmode=require"
    assert written["chosen"] == OTHERS["files"]["prod"]
    assert written["escaped"] == "${HOME} costs $5 and ${oc.env:PW}"
    assert written["number"] == 5


def test_a_component_gets_what_the_config_means(config):
    all_written = as_written(config)
    for key, meant in OmegaConf.to_container(config, resolve=True).items():
        written = as_text(all_written[key])
        assert resolved(written) == as_text(meant)
        assert resolved_argument(f"--{key}={written}") == f"--{key}={as_text(meant)}"


def test_what_is_no_reference_to_a_variable_stays():
    for text in (
        "",
        "{}",
        "[1,2]",
        "${HOME}",
        "${data.file_url}",
        "models:/m@champion",
        '{"a":  1}',
    ):
        assert resolved(text) == counted(text) == text


def test_no_secret_is_in_a_cache_key(config):
    for written in as_written(config).values():
        text = counted(as_text(written))
        assert "s3}c" not in text and "someone" not in text


@pytest.mark.parametrize(
    ("text", "variable", "counts"),
    [
        (WRITTEN["url"], "HOST", True),
        (WRITTEN["url"], "PW", False),
        (WRITTEN["url"], "DB_USER", False),
        ("https://host/${oc.env:STAGE}.csv?day=1", "STAGE", True),
        ("https://host/data.csv?day=${oc.env:STAGE}", "STAGE", True),
        ("s3://bucket/${oc.env:STAGE}/me@home.csv", "STAGE", True),
        ("${oc.env:STAGE}", "STAGE", True),
        ('{"a": ["${oc.env:STAGE}"]}', "STAGE", True),
    ],
)
def test_a_changed_variable_counts_unless_it_is_a_credential(monkeypatch, text, variable, counts):
    before = counted(text)
    monkeypatch.setenv(variable, "another")
    assert (counted(text) != before) is counts


def test_a_message_tells_what_was_taken_as_it_is_written():
    password = resolved("${oc.env:PW}")
    assert "${oc.env:PW} is wrong" in explain(UserError(f"{password} is wrong"))


def test_an_unset_variable_is_named():
    with pytest.raises(UserError, match="NO_SUCH"):
        resolved("${oc.env:NO_SUCH}")


def test_an_executable_asks_for_the_value(capsys):
    shell(["resolve", "--", "--x=${oc.env:PW}"])
    assert capsys.readouterr().out == f"--x={os.environ['PW']}\n"
