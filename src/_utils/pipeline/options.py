"""The command line of main.py: from what MLflow passes to what Hydra understands."""

import re
from contextlib import suppress

from hydra.errors import HydraException

from _utils.command_line import rejoined
from _utils.errors import UserError
from _utils.internals import hydra_flags, parse_overrides, quoted

KEYS = {"--steps": "main.steps", "--port": "serving.port"}  # parameters that set one key
EMPTY = ('""', "''")  # how an empty value arrives where no shell takes its quotes off


def hydra_arguments(arguments: list[str]) -> list[str]:
    """Turn `--steps=a,b --hydra-options="x=1 -m"`, as the MLproject passes them, into Hydra's own.

    An empty value leaves what the config has. Everything else is Hydra's already and stays as it
    is. All flags come first, since Hydra refuses flags between overrides.

    Raises:
        UserError: Neither has such a flag, as with `-P step=a`.
    """
    hydras = hydra_flags()._option_string_actions
    flags, rest, overrides = [], [], []
    for argument in rejoined(arguments):
        option, equals, value = argument.partition("=")
        value = "" if value in EMPTY else value.strip()
        if option in KEYS and equals:
            overrides += [f"{KEYS[option]}={as_text(value)}"] if value else []
        elif option == "--hydra-options":
            for token in split_options(value):
                (overrides if is_override(token) else flags).append(token)
        elif option.startswith("--") and option not in hydras:
            name = option.removeprefix("--")
            raise UserError(f"unknown parameter '{name}': there are steps and hydra_options.")
        else:
            (rest if is_override(argument) else flags).append(argument)
    return [*flags, *rest, *overrides]


def is_override(token: str) -> bool:
    """Tell `key=value` and `~key` from flags such as `-m` and their values."""
    return not token.startswith("-") and ("=" in token or token.startswith("~"))


def as_text(text: str) -> str:
    """The text written so that Hydra reads a text, and no number, sweep or null."""
    with suppress(HydraException):
        if parse_overrides([f"key={text}"])[0].value() == text:
            return text
    return quoted(text)


def split_options(text: str) -> list[str]:
    """Split at spaces, except within quotes and brackets.

    Quotes stay, since they belong to Hydra's grammar (`x='a, b'`); only those around a whole
    option, as a shell would need them (`'x=a b'`), are taken off.

    Raises:
        UserError: A quote is never closed.
    """
    tokens, quote, depth, escaped = [""], "", 0, False
    for character in text:
        if character.isspace() and not quote and depth <= 0:
            tokens.append("")
            continue
        tokens[-1] += character
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "[{(") - (character in "]})")
    if quote:
        raise UserError(
            f"hydra_options: the quote {quote} is not closed in: {text}\n"
            "Close it, or put a backslash before it if it is part of a value."
        )
    return [re.sub(r"^(['\"])(.*)\1$", r"\2", token, flags=re.DOTALL) for token in tokens if token]
