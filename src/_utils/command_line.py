"""Command lines as a person types them, and as they arrive."""

import os
import shlex
import subprocess


def as_line(words: list[str]) -> str:
    """The words as they are typed: in Windows' cmd, or in the shell of any other system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def rejoined(arguments: list[str], on_windows: bool = os.name == "nt") -> list[str]:
    """The arguments of an MLproject's command as they are meant.

    On Windows `mlflow run` quotes a command twice, so values arrive with the quotes around them,
    and in pieces: `--x="a b"` as `--x="a` and `b"`. A value that has a double quote, % or ! beside
    a space is beyond repair.
    """
    if not on_windows:
        return arguments
    found = []
    for argument in arguments:
        if found and _is_open(found[-1]):
            found[-1] += f" {argument}"
        else:
            found.append(argument)
    return [_unquoted(argument) for argument in found]


def _is_open(argument: str) -> bool:
    value = argument.partition("=")[2]
    return value.startswith('"') and not (len(value) > 1 and value.endswith('"'))


def _unquoted(argument: str) -> str:
    option, _, value = argument.partition("=")
    return f"{option}={value[1:-1]}" if value.startswith('"') else argument
