"""The config: composed by Hydra, checked, and read into what the pipeline works with."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from _utils.capabilities import load_capability
from _utils.errors import UserError
from _utils.internals import config_loader, hydra_flags, parse_overrides
from _utils.pipeline.options import is_override
from _utils.variables import kept_as_written

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

SHOWN = 100  # characters of a wrong value


def as_names(value: Any) -> Any:
    """A text with commas between names as a list of names; everything else as it is."""
    if not isinstance(value, str):
        return value
    return [name.strip() for name in value.split(",") if name.strip()]


Name = Annotated[str, Field(min_length=1, max_length=500)]  # the latter is MLflow's limit
Names = Annotated[list[str], BeforeValidator(as_names)]
Assignment = Annotated[str, Field(pattern=r"^[\w.]+=")]


class Section(BaseModel):
    """A section of the config: these keys and no others, each of exactly this type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Objective(Section):
    """`main.objective`: how the jobs of a sweep are ranked."""

    metric: Name | None
    direction: Literal["minimize", "maximize"]


class Main(Section):
    """`main`; config.yaml says what each key is."""

    project_name: Name
    experiment_name: Name
    execute_steps: list[str] | None
    steps: Names
    aliases: dict[str, str] | None = None
    reuse: bool
    rerun: Names
    artifact_store: str
    storage_url: str | None
    backend: str
    backend_config: dict[str, Any] | None
    objective: Objective
    on_alarm: Literal["report", "retrain"]
    retrain: list[Assignment] | None
    plan: Literal[True, False, "mermaid"]


class ComponentSection(Section):
    """`components.<name>`: what the config says of one component."""

    parameters: dict[str, Any] | None = None  # with ${oc.env:...} as it is written
    cache: bool | None = None  # None: the pipeline decides
    backend: str | None = None
    backend_config: dict[str, Any] | None = None


class Config(BaseModel):
    """The config of one round of the pipeline; only `${oc.env:...}` is as it is written."""

    main: Main
    components: dict[str, ComponentSection]
    values: dict[str, Any]  # all sections, for the record
    faults: list[str]  # for each value that cannot be resolved; it is None


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
            faults.append(unknown_key(key, keys, "config.yaml lists the keys."))
    return faults


def unknown_key(key: str, keys: list[str], otherwise: str) -> str:
    """What to say about a key that is not among these."""
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.75)
    cure = f"did you mean '{near[0]}'?" if near else otherwise
    return f"unknown config key '{key}': {cure}"


def keys_of(section: Any, prefix: str = "") -> list[str]:
    """All keys of a config in dotted form, inner keys and places in lists included."""
    keys = []
    if isinstance(section, dict | list):
        for key, value in section.items() if isinstance(section, dict) else enumerate(section):
            keys += [f"{prefix}{key}", *keys_of(value, f"{prefix}{key}.")]
    return keys


def read_config(config: DictConfig) -> Config:
    """Resolve and validate the config of one round of the pipeline.

    Raises:
        UserError: One line for each fault in `main`, and for each wrong key or type. What cannot be
            resolved elsewhere is told by the plan, along with its own faults.
    """
    config = copy.deepcopy(config)
    unresolvable = take_out_unresolvable(config)
    faults = [line for key, line in unresolvable.items() if key.startswith("main")]
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    values: Any = OmegaConf.to_container(kept_as_written(config), resolve=True)
    components = resolved.get("components")
    for name, section in components.items() if isinstance(components, dict) else ():
        components[name] = section = {} if section is None else section
        if isinstance(section, dict) and "parameters" in section:
            section["parameters"] = values["components"][name]["parameters"]
    try:
        lines = [*unresolvable.values()]
        read = Config.model_validate({**resolved, "values": values, "faults": lines})
        values["main"] = resolved["main"] | {"retrain": values["main"].get("retrain")}
        keys = keys_of(values)
        assigned = [each.partition("=")[0] for each in read.main.retrain or []]
        unknown = [
            unknown_key(key, keys, "config.yaml lists the keys.")
            for key in assigned
            if key not in keys
        ]
        faults += [f"main.retrain: {line}" for line in unknown]
    except ValidationError as error:
        as_told = map(as_fault, error.errors())
        faults += [line for key, line in as_told if key not in unresolvable]
    if faults:
        raise UserError("\n".join(faults))
    return read


def take_out_unresolvable(config: DictConfig) -> dict[str, str]:
    """Set values to None that refer to a key that is not there, or are still missing (`???`).

    Returns:
        What is wrong with each, by its key.
    """
    with suppress(OmegaConfBaseException):
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return {}
    faults = {}
    for key in keys_of(OmegaConf.to_container(config)):
        try:
            OmegaConf.select(config, key, throw_on_missing=True)
        except OmegaConfBaseException as error:
            faults[key] = f"config.yaml, {key}: {str(error).splitlines()[0]}"
            OmegaConf.update(config, key, None)
    return faults


def as_fault(fault: Any) -> tuple[str, str]:
    """A fault as pydantic finds it: its key, and a line for the user."""
    key = ".".join(str(part) for part in fault["loc"])
    place = key.rpartition(".")[0]
    value = json.dumps(fault["input"], default=str, ensure_ascii=False)[:SHOWN].strip('"')
    if fault["type"] == "missing":
        return key, f"{key} is missing: set it as the template's config.yaml does."
    if fault["type"] == "extra_forbidden":
        models: dict[str, type[Section]] = {"main": Main, "main.objective": Objective}
        words = [*models.get(place, ComponentSection).model_fields]
        allowed = f"allowed are {', '.join(words)}."
        return key, unknown_key(key, [f"{place}.{word}" for word in words], allowed)
    if fault["type"] == "string_type":
        return key, f"{key}={value}: write a text, in quotes ('...')."
    reason = fault["msg"].partition(" or instance of")[0].replace("dictionary", "section")
    return key, f"{key}={value}: {reason[0].lower()}{reason[1:]}."
