"""The model of Windows in windows.py, against what is documented of Windows."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from windows import arguments_of, through_cmd

VARIABLES = {"PATH": "what nobody meant"}


@given(st.lists(st.text(st.sampled_from('a "\\\t')), max_size=4))
def test_the_model_of_windows_is_the_inverse_of_pythons(words):
    assert arguments_of(subprocess.list2cmdline(words)) == words


@pytest.mark.parametrize(
    ("line", "arguments"),
    [  # of Microsoft's page
        (r'"abc" d e', ["abc", "d", "e"]),
        (r'a\\b d"e f"g h', [r"a\\b", "de fg", "h"]),
        (r"a\\\"b c d", [r"a\"b", "c", "d"]),
        (r'a\\\\"b c" d e', [r"a\\b c", "d", "e"]),
        (r'a"b"" c d', ['ab" c d']),
    ],
)
def test_the_model_of_windows_is_as_documented(line, arguments):
    assert arguments_of(line) == arguments


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ('a ^"b^" ^^', 'a "b" ^'),
        ('a "b ^ & c" %PATH%', 'a "b ^ & c" what nobody meant'),
        ("a ^%PATH^% %NONE%", "a %PATH% %NONE%"),
    ],
)
def test_the_model_of_cmd_is_as_documented(line, left):
    assert through_cmd(line, VARIABLES) == left
    with pytest.raises(AssertionError, match="cmd acts on &"):
        through_cmd("a & b", VARIABLES)
