"""The command line of main.py becomes a config, or all that is wrong with it is told at once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from _utils.capabilities import load_capability
from _utils.command_line import rejoined
from _utils.errors import UserError
from _utils.internals import hydra_flags, is_hydra_flag, parse_overrides, quoted
from _utils.pipeline.config import keys_of, read_config, unknown_key

if TYPE_CHECKING:
    from _utils.internals import Override

KEYS = {"--steps": "main.steps", "--port": "serving.port"}  # parameters that set one key
OPEN = "data.contract."  # below are values of the contract's file, which main.py does not know
EMPTY = ('""', "''")  # how an empty value arrives where no shell takes its quotes off
QUOTES = ("'", '"')
# A quoted text as a whole, else a space or another character
PIECE = re.compile(r"""'(?:\\.|[^\\'])*'|"(?:\\.|[^\\"])*"|.""", re.DOTALL)


def hydra_arguments(arguments: list[str]) -> list[str]:
    """Turn `--steps=a,b --hydra-options="x=1 -m"`, as the MLproject passes them, into Hydra's own.

    An empty value leaves what the config has. Everything else is Hydra's already and stays as it
    is. All flags come first, since Hydra refuses flags between overrides.

    Raises:
        UserError: Neither has such a flag, as with `-P step=a`.
    """
    flags, rest, overrides = [], [], []
    for argument in rejoined(arguments):
        option, equals, value = argument.partition("=")
        value = "" if value in EMPTY else value.strip()
        if option in KEYS and equals:
            names = [each.strip() for each in value.split(",") if each.strip()]
            is_list = option == "--steps" and len(names) > 1  # [a,b] needs no quotes, as 'a,b' does
            text = f"[{','.join(map(hydra_text, names))}]" if is_list else hydra_text(value)
            overrides += [f"{KEYS[option]}={text}"] if value else []
        elif option == "--hydra-options":
            for token in split_options(value):
                (overrides if is_override(token) else flags).append(token)
        elif option.startswith("--") and not is_hydra_flag(option):
            name = option.removeprefix("--")
            raise UserError(f"unknown parameter '{name}': there are steps and hydra_options.")
        else:
            (rest if is_override(argument) else flags).append(argument)
    opened = (f"++{each}" if each.startswith(OPEN) else each for each in [*rest, *overrides])
    return [*flags, *opened]


def is_override(token: str) -> bool:
    """Tell `key=value` and `~key` from flags such as `-m` and their values."""
    return not token.startswith("-") and ("=" in token or token.startswith("~"))


def hydra_text(text: str) -> str:
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
    tokens, depth = [""], 0
    for piece in PIECE.findall(text):
        if piece in QUOTES:
            raise UserError(
                f"hydra_options: the quote {piece} is not closed in: {text}\n"
                "Close it, or put a backslash before it if it is part of a value."
            )
        depth += (piece in "[{(") - (piece in "]})")
        if piece.isspace() and depth <= 0:
            tokens.append("")
        else:
            tokens[-1] += piece
    return [re.sub(r"^(['\"])(.*)\1$", r"\2", token, flags=re.DOTALL) for token in tokens if token]


def compose_config(arguments: list[str], folder: Path) -> DictConfig | None:
    """Compose the config of a command line of Hydra's, and refuse one that cannot work.

    Args:
        arguments: The command line.
        folder: Where config.yaml is.

    Returns:
        The config without its section `hydra`; None if Hydra itself has to do the rest: a sweep, a
        run in another folder, or a flag such as --cfg; --config-dir is not checked at all.

    Raises:
        UserError: One line for each fault.
    """
    flags, rest = hydra_flags().parse_known_args(arguments)
    overrides = read_overrides([*flags.overrides, *rest])
    if flags.hydra_help or flags.shell_completion or flags.config_dir:
        return None
    place = str(folder / (flags.config_path or ""))
    with initialize_config_dir(place, job_name="main", version_base="1.3"):
        config, faults = _compose(flags, overrides)
    HydraConfig.instance().set_config(config)  # for values such as ${hydra:job.name}
    hydra = config.hydra
    if is_sweep := flags.multirun or hydra.mode == RunMode.MULTIRUN:
        load_capability("sweeps", "-m")
    else:
        swept = [each.input_line for each in overrides if each.is_sweep_override()]
        faults += [f"{line}: add -m for a sweep, or write [a,b]." for line in swept]
    if faults:
        raise UserError("\n".join(faults))
    asks_hydra = flags.cfg or flags.info or flags.help or flags.experimental_rerun
    has_more_to_do = hydra.run.dir != "." or hydra.output_subdir or hydra.job.env_set
    with open_dict(config):
        del config["hydra"]
    read_config(config)
    return None if is_sweep or asks_hydra or has_more_to_do else config


def _compose(flags: argparse.Namespace, overrides: list[Override]) -> tuple[DictConfig, list[str]]:
    """The config, and a fault for each unknown key that a sweep overrides.

    Raises:
        UserError: Other overrides have unknown keys, or there is no config for another reason.
    """
    loader, name = GlobalHydra.instance().config_loader(), flags.config_name or "config"
    mode = RunMode.MULTIRUN if flags.multirun else RunMode.RUN

    def load(chosen: list[Override]) -> DictConfig:
        lines = [each.input_line for each in chosen]
        return loader.load_configuration(name, lines, mode, validate_sweep_overrides=False)

    def sets_value(override: Override) -> bool:
        key = override.key_or_group  # others choose files
        return not ("/" in key or key == "hydra.searchpath" or loader.get_group_options(key))

    try:
        config = load(overrides)
        swept = [each for each in overrides if each.is_sweep_override()]
        return config, unknown_keys(config, filter(sets_value, swept))  # Hydra looks later
    except Exception as error:  # Hydra tells the first fault only, by errors of many types
        reason = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        reason = " ".join(reason.partition("\n    full_key")[0].split())
        faults = []
        with suppress(Exception):  # of a wrong choice of files
            config = load([each for each in overrides if not sets_value(each)])
            faults = unknown_keys(config, filter(sets_value, overrides))
        faults = faults or [f"The config cannot be composed: {reason}"]
        raise UserError("\n".join(faults)) from error


def read_overrides(tokens: list[str]) -> list[Override]:
    """Read overrides by Hydra's grammar.

    Raises:
        UserError: One line for each text that is no override.
    """
    faults, overrides = [], []
    for token in tokens:
        try:
            overrides += parse_overrides([token])
        except HydraException as error:
            reason = str(error).splitlines()[0]
            cure = "write key=value, no spaces around the =, and special characters in quotes."
            if not token.partition("=")[0].isascii():
                cure = "Hydra takes no such letters in a key. Change the value in its file."
            faults.append(f"override {token} cannot be read ({reason}): {cure}")
    if faults:
        raise UserError("\n".join(faults))
    return overrides


def unknown_keys(config: DictConfig, overrides: Iterable[Override]) -> list[str]:
    """A fault for each override of a key that the config does not have, with the nearest key.

    Hydra itself would stop at the first and advise to append it, which is seldom what a person
    with a typing error wants. `+key=value` still appends.
    """
    keys = keys_of(OmegaConf.to_container(config))
    used = [each.key_or_group for each in overrides if not (each.is_add() or each.is_force_add())]
    return [unknown_key(key, keys) for key in used if key not in keys]
