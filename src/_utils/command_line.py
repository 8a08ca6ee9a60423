"""Command lines as a person types them, and as they arrive in a process."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress

import psutil

from _utils.environment import told
from _utils.errors import UserError

IS_QUOTED_TWICE = os.name == "nt" and bool(told("MLFLOW_RUN_ID"))  # `mlflow run` started this
LOST = re.compile(r'\^["%!]')  # how MLflow writes these for Windows' cmd
WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')  # of a command that has none of these


def as_line(words: list[str]) -> str:
    """The words as they are typed: in Windows' cmd, or in the shell of any other system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def given_to_cmd() -> str:
    """What `mlflow run` on Windows lets cmd execute, which starts this process; else empty."""
    for each in psutil.Process().parents() if IS_QUOTED_TWICE else ():
        with suppress(psutil.Error):  # it is another user's
            match each.cmdline():
                case ["cmd", "/c", command]:
                    return command
    return ""


def rejoined(arguments: list[str], on_windows: bool = IS_QUOTED_TWICE) -> list[str]:
    """The arguments of an MLproject's command, put together again on Windows.

    There `mlflow run` quotes a command twice, so `--x="a b"` arrives in two pieces, with quotes.

    Raises:
        UserError: A value cannot be restored.
    """
    if not on_windows:
        return arguments
    command, whole = given_to_cmd(), []
    for argument in WORD.findall(command)[2:] or arguments:
        if whole and re.fullmatch(r'[^=]*="([^"]|[^"].*[^"])?', whole[-1]):
            whole[-1] += f" {argument}"
        else:
            whole.append(argument)
    whole = [re.sub(r'^([^=]*=)"(.*)"$', r"\1\2", each, flags=re.DOTALL) for each in whole]
    if lost := [each for each in [*whole, command] if LOST.search(each)]:
        raise UserError(
            f"{lost[0]} is not what you typed: on Windows `mlflow run` cannot pass on a value "
            f'with ", % or !. Use `python {sys.argv[0]}` instead, which can.'
        )
    return whole
