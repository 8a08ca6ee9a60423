"""Command lines as a person types them, and as they arrive in a process."""

import os
import re
import shlex
import subprocess


def as_line(words: list[str]) -> str:
    """The words as they are typed: in Windows' cmd, or in the shell of any other system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def rejoined(arguments: list[str], on_windows: bool = os.name == "nt") -> list[str]:
    """The arguments of an MLproject's command, put together again on Windows.

    There `mlflow run` quotes a command twice, so `--x="a b"` arrives in two pieces, with quotes. A
    value that has a double quote, % or ! beside a space cannot be restored.
    """
    if not on_windows:
        return arguments
    whole: list[str] = []
    for argument in arguments:
        if whole and re.fullmatch(r'[^=]*="([^"]|[^"].*[^"])?', whole[-1]):
            whole[-1] += f" {argument}"
        else:
            whole.append(argument)
    return [re.sub(r'^([^=]*=)"(.*)"$', r"\1\2", each, flags=re.DOTALL) for each in whole]
