"""A command line of Hydra's becomes a config, or all that is wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from _utils.capabilities import load_capability
from _utils.errors import UserError
from _utils.internals import config_loader, hydra_flags, parse_overrides
from _utils.pipeline.config import keys_of, read_config, unknown_key
from _utils.pipeline.options import is_override

if TYPE_CHECKING:
    from _utils.internals import Override


def compose_config(arguments: list[str], folder: Path) -> DictConfig | None:
    """Compose the config of a command line of Hydra's, and refuse one that cannot work.

    Args:
        arguments: The command line.
        folder: Where config.yaml is.

    Returns:
        The config without its section `hydra`; None if Hydra itself has to do the rest: a sweep, a
        run in another folder, or a flag such as --cfg.

    Raises:
        UserError: One line for each fault.
    """
    flags, rest = hydra_flags().parse_known_args(arguments)
    overrides = read_overrides([*flags.overrides, *rest])
    if flags.hydra_help or flags.shell_completion:
        return None
    swept = [each for each in overrides if each.is_sweep_override()]
    mode = RunMode.MULTIRUN if flags.multirun else RunMode.RUN
    place = str(folder / (flags.config_path or ""))
    with initialize_config_dir(place, job_name="main", version_base="1.3"):
        loader = config_loader(flags.config_dir)

        def composed(chosen: list[Override]) -> DictConfig:
            name, lines = flags.config_name or "config", [each.input_line for each in chosen]
            return loader.load_configuration(name, lines, mode, validate_sweep_overrides=False)

        def is_key(override: Override) -> bool:
            key = override.key_or_group  # others choose files
            return not ("/" in key or key == "hydra.searchpath" or loader.get_group_options(key))

        try:
            config = composed(overrides)
            faults = unknown_keys(config, filter(is_key, swept))  # Hydra looks at them only later
        except Exception as error:  # Hydra tells the first fault only, by errors of many types
            faults = []
            with suppress(Exception):  # of a wrong choice of files
                base = composed([each for each in overrides if not is_key(each)])
                faults = unknown_keys(base, filter(is_key, overrides))
            reason = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
            reason = " ".join(reason.partition("\n    full_key")[0].split())
            faults = faults or [f"The config cannot be composed: {reason}"]
            raise UserError("\n".join(faults)) from error
    HydraConfig.instance().set_config(config)  # for values such as ${hydra:job.name}
    hydra = config.hydra
    if is_sweep := flags.multirun or hydra.mode == RunMode.MULTIRUN:
        load_capability("sweeps", "-m")
    else:
        faults += [f"{each.input_line}: add -m for a sweep, or write [a,b]." for each in swept]
    if faults:
        raise UserError("\n".join(faults))
    asks_hydra = flags.cfg or flags.info or flags.help or flags.experimental_rerun
    has_more_to_do = hydra.run.dir != "." or hydra.output_subdir or hydra.job.env_set
    with open_dict(config):
        del config["hydra"]
    read_config(config)
    return None if is_sweep or asks_hydra or has_more_to_do else config


def read_overrides(tokens: list[str]) -> list[Override]:
    """Read overrides by Hydra's grammar.

    Raises:
        UserError: One line for each text that is no override.
    """
    faults = []
    for token in tokens:
        if token.startswith("=") or not is_override(token):
            faults.append(f"'{token}' is no override: write key=value, no spaces around the =.")
            continue
        try:
            parse_overrides([token])
        except HydraException as error:
            reason = str(error).splitlines()[0]
            faults.append(f"override {token} cannot be read ({reason}): put its value in quotes.")
    if faults:
        raise UserError("\n".join(faults))
    return parse_overrides(tokens)


def unknown_keys(config: DictConfig, overrides: Iterable[Override]) -> list[str]:
    """A fault for each override of a key that the config does not have, with the nearest key.

    Hydra itself would stop at the first and advise to append it, which is seldom what a person
    with a typing error wants. `+key=value` still appends.
    """
    keys, faults = keys_of(OmegaConf.to_container(config)), []
    for override in overrides:
        key = override.key_or_group
        if key not in keys and not override.is_add() and not override.is_force_add():
            faults.append(unknown_key(key, keys))
    return faults
