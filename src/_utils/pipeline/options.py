"""The command line of main.py: from what MLflow passes to what Hydra understands."""

import difflib
from pathlib import Path

import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from _utils.errors import UserError

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
            if "," in steps:  # which Hydra would take for a sweep
                steps = QuotedString(steps, Quote.single).with_quotes()
            overrides += [f"main.steps={steps}"] if steps else []
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


def is_override(token: str) -> bool:
    """Tell `key=value` and `~key` from flags such as `-m` and their values."""
    return not token.startswith("-") and ("=" in token or token.startswith("~"))


def check_overrides(arguments: list[str], config_file: Path) -> None:
    """Refuse, all at once, overrides of keys that config.yaml does not have.

    Hydra itself would stop at the first and advise to append it, which is seldom what a person
    with a typing error wants. `+key=value` still appends.

    Raises:
        UserError: One line for each unknown key, with the nearest known one; or config.yaml is no
            YAML.
    """
    try:
        config = OmegaConf.load(config_file)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise UserError(f"{config_file}, line {line}: {error.problem}. Mend it.") from error
    known = keys_of(config)
    faults = []
    for token in filter(is_override, arguments):
        if token.startswith("="):
            faults.append("a value without a key: write key=value, with no spaces around the =.")
            continue
        try:
            override = OverridesParser.create().parse_override(token)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            faults.append(f"override {token} cannot be read ({reason}): put its value in quotes.")
            continue
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or "/" in key or key.startswith("hydra."):
            continue
        if key not in known and key != "hydra":
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
            cure = f"did you mean '{near[0]}'?" if near else "config.yaml lists the keys."
            faults.append(f"unknown config key '{key}': {cure}")
    if faults:
        raise UserError("\n".join(faults))


def keys_of(config: DictConfig, prefix: str = "") -> list[str]:
    """All keys of a config in dotted form, inner ones included."""
    keys = []
    for key in config:
        keys.append(f"{prefix}{key}")
        value = config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            keys += keys_of(value, f"{prefix}{key}.")
    return keys
