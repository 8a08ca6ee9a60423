"""The command line of main.py: from what MLflow passes to what Hydra understands."""

from contextlib import suppress

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from _utils.errors import UserError
from _utils.pipeline.config import is_override

EMPTY = ('""', "''")  # how an empty value arrives where no shell takes its quotes off


def hydra_arguments(arguments: list[str]) -> list[str]:
    """Turn `--steps=a,b --hydra-options="x=1 -m"`, as the MLproject passes them, into Hydra's own.

    `--port=8081` is `serving.port=8081`; an empty one leaves what the config has. Everything else
    is Hydra's already and stays as it is. Hydra refuses flags between overrides, so all flags come
    first.

    Raises:
        UserError: A flag that neither has, as `-P step=a` would make it.
    """
    known = get_args_parser()._option_string_actions
    flags, rest, overrides = [], [], []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        value = "" if value in EMPTY else value
        if option == "--steps":
            steps = value.strip()
            overrides += [f"main.steps={as_text(steps)}"] if steps else []
        elif option == "--port" and equals:
            overrides += [f"serving.port={value.strip()}"] if value.strip() else []
        elif option == "--hydra-options":
            for token in split_options(value):
                (overrides if is_override(token) else flags).append(token)
        elif option.startswith("--") and option not in known:
            name = option.removeprefix("--")
            raise UserError(f"unknown parameter '{name}': there are steps and hydra_options.")
        else:
            (rest if is_override(argument) else flags).append(argument)
    return [*flags, *rest, *overrides]


def as_text(text: str) -> str:
    """The text as Hydra takes it for this very text, and for no number, sweep or null."""
    with suppress(HydraException):
        if OverridesParser.create().parse_override(f"key={text}").value() == text:
            return text
    return QuotedString(text, Quote.single).with_quotes()


def split_options(text: str) -> list[str]:
    """Split at spaces, except within quotes and brackets.

    Quotes stay, for they are part of Hydra's grammar (`x='a, b'`); only those around a whole
    option, as a shell would want them (`'x=a b'`), are taken off.

    Raises:
        UserError: A quote is never closed.
    """
    tokens, token, quote, depth, escaped = [], "", "", 0, False
    for character in text:
        if character.isspace() and not quote and depth <= 0:
            tokens, token = [*tokens, token], ""
            continue
        token += character
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
            "Close it, or escape it with a backslash if it is part of a value."
        )
    return [unquoted(token) for token in [*tokens, token] if token]


def unquoted(token: str) -> str:
    """Take off the quotes around a whole option."""
    return token[1:-1] if token[0] in "'\"" and token[-1] == token[0] else token
