"""The config: overrides, what Hydra composes, and the shape of the sections that are ours."""

import difflib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import filterfalse
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from hydra import initialize_config_dir

# Hydra's own: how main.py's command line is read, and a config composed without being run. The
# public `compose` takes neither sweeps nor --config-dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from _utils.capabilities import load_capability
from _utils.errors import UserError

SHOWN = 100  # characters of a wrong value


def as_names(value: Any) -> Any:
    """A text with commas between names as the list of them; everything else as it is."""
    if not isinstance(value, str):
        return value
    return [name.strip() for name in value.split(",") if name.strip()]


Name = Annotated[str, Field(min_length=1, max_length=500)]  # the latter is MLflow's limit
Names = Annotated[list[str], BeforeValidator(as_names)]
Assignment = Annotated[str, Field(pattern=r"^[\w.]+=")]


class Section(BaseModel):
    """A section of the config: these keys and no others, each of this very type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Objective(Section):
    """How the jobs of a sweep are ranked."""

    metric: Name | None
    direction: Literal["minimize", "maximize"]


class Main(Section):
    """The section `main`; config.yaml says what each key is."""

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
    if_running: Literal["together", "wait", "skip"]
    objective: Objective
    on_alarm: Literal["report", "retrain"]
    retrain: list[Assignment] | None
    plan: Literal[True, False, "mermaid", "svg"]


class ComponentSection(Section):
    """What `components` says of one of them."""

    parameters: dict[str, Any] | None = None
    cache: bool = True
    backend: str | None = None
    backend_config: dict[str, Any] | None = None


# Kind of fault in pydantic -> what to do about it
CURES = {
    "string_too_short": "must not be empty.",
    "string_type": "must be text: put it in quotes ('...').",
    "string_pattern_mismatch": "must be an override: write key=value.",
    "bool_type": "must be true or false.",
    "list_type": "must be a list, such as [a,b].",
    "dict_type": "must be a section with keys.",
    "model_type": "must be a section with keys.",
}


def check_config(arguments: list[str], folder: Path) -> None:
    """Refuse a command line of Hydra's that makes no config that the pipeline can work with.

    Args:
        arguments: The command line.
        folder: Where config.yaml is.

    Raises:
        UserError: One line for each fault.
    """
    if faults := [*unreadable(filter(is_override, arguments))]:
        raise UserError("\n".join(faults))
    args = get_args_parser().parse_args(arguments)
    if faults := [*unreadable(args.overrides)]:
        raise UserError("\n".join(faults))
    if args.hydra_help or args.shell_completion:
        return
    if args.multirun:
        load_capability("sweeps", "-m")
    overrides = OverridesParser.create().parse_overrides(args.overrides)
    mode = RunMode.MULTIRUN if args.multirun else RunMode.RUN
    with initialize_config_dir(str(folder / (args.config_path or "")), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        if args.config_dir:
            path, last = loader.get_search_path(), SearchPathQuery(provider="schema")
            path.prepend("command-line", f"file://{Path(args.config_dir).absolute()}", last)
            loader = ConfigLoaderImpl(path)

        def composed(given: list[Override]) -> DictConfig:
            lines, name = [each.input_line for each in given], args.config_name or "config"
            # Whether values with commas between are meant to be a sweep, Hydra asks later
            return loader.load_configuration(name, lines, mode, validate_sweep_overrides=False)

        def chooses_files(override: Override) -> bool:
            key = override.key_or_group
            return "/" in key or key == "hydra.searchpath" or bool(loader.get_group_options(key))

        faults = []
        try:
            config = composed(overrides)
            swept = [each for each in overrides if each.is_sweep_override()]  # Hydra skips these
            faults = unknown_keys(config, [*filterfalse(chooses_files, swept)])
            HydraConfig.instance().set_config(config)  # for values such as ${hydra:job.name}
        except yaml.MarkedYAMLError as error:
            place = f"{error.problem_mark.name}, line {error.problem_mark.line + 1}"
            raise UserError(f"{place}: {error.problem}. Correct it.") from error
        except Exception as error:  # what Hydra raises if a value has another type than it expects
            with suppress(Exception):  # then it is the choice of files that is wrong
                base = composed([*filter(chooses_files, overrides)])
                faults = unknown_keys(base, [*filterfalse(chooses_files, overrides)])
            reason = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
            told = f"The config cannot be composed: {reason}".partition("\n    full_key")[0]
            raise UserError("\n".join(faults) or told) from error
    if faults:
        raise UserError("\n".join(faults))
    check_shape(config)


def unreadable(tokens: Iterable[str]) -> Iterator[str]:
    """Why these are no overrides."""
    for token in tokens:
        if token.startswith("=") or not is_override(token):
            yield f"'{token}' is no override: write key=value, with no spaces around the =."
            continue
        try:
            token.encode()
            OverridesParser.create().parse_override(token)
        except UnicodeEncodeError:
            yield f"override {token!r} is not UTF-8: type it in a terminal that is set to UTF-8."
        except HydraException as error:
            reason = str(error).splitlines()[0]
            yield f"override {token} cannot be read ({reason}): put its value in quotes."


def is_override(token: str) -> bool:
    """Tell `key=value` and `~key` from flags such as `-m` and their values."""
    return not token.startswith("-") and ("=" in token or token.startswith("~"))


def unknown_keys(config: DictConfig, overrides: list[Override]) -> list[str]:
    """Overrides of keys that the config does not have, each with the nearest that it has.

    Hydra itself would stop at the first and advise to append it, which is seldom what a person
    with a typing error wants. `+key=value` still appends.
    """
    known, faults = keys_of(OmegaConf.to_container(config)), []
    for override in overrides:
        key = override.key_or_group
        if key in known or override.is_add() or override.is_force_add():
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
        cure = f"did you mean '{near[0]}'?" if near else "config.yaml lists the keys."
        faults.append(f"unknown config key '{key}': {cure}")
    return faults


def keys_of(section: Any, prefix: str = "") -> list[str]:
    """All keys of a config in dotted form, inner ones and places in lists included."""
    keys = []
    if isinstance(section, dict | list):
        for key, value in section.items() if isinstance(section, dict) else enumerate(section):
            keys += [f"{prefix}{key}", *keys_of(value, f"{prefix}{key}.")]
    return keys


def check_shape(config: DictConfig) -> None:
    """Refuse a config whose sections `main` and `components` are not as the pipeline reads them.

    Raises:
        UserError: One line for each fault.
    """
    faults = []
    components = OmegaConf.select(config, "components")
    shapes: dict[str, Any] = {"main": Main}
    if isinstance(components, DictConfig):
        shapes |= {f"components.{name}": ComponentSection | None for name in components}
    else:
        shapes["components"] = dict
    if "hydra" in config:
        shapes |= {"hydra.launcher": dict, "hydra.sweeper": dict}
    for place, shape in shapes.items():
        try:
            section = OmegaConf.select(config, place)
            if isinstance(section, DictConfig):
                section = OmegaConf.to_container(section, resolve=True, throw_on_missing=True)
            TypeAdapter(shape).validate_python(section)
        except OmegaConfBaseException:  # of a component the plan tells it, with its other faults
            faults += unresolvable(config, place) if place == "main" else []
        except ValidationError as error:
            faults += [as_fault(place, fault) for fault in error.errors()]
    if not faults:
        as_written: Any = OmegaConf.to_container(config)
        known = keys_of(as_written)
        keys = [override.partition("=")[0] for override in as_written["main"]["retrain"] or []]
        faults = [f"main.retrain: unknown config key '{key}'." for key in keys if key not in known]
    if faults:
        raise UserError("\n".join(faults))


def unresolvable(config: DictConfig, place: str = "") -> Iterator[str]:
    """Values that refer to a key that is not there, or that are still to be given (`???`)."""
    for key in keys_of(OmegaConf.to_container(config)):
        if not f"{key}.".startswith(place):
            continue
        try:
            OmegaConf.select(config, key, throw_on_missing=True)
        except OmegaConfBaseException as error:
            yield f"config.yaml, {key}: {str(error).splitlines()[0]}"


def as_fault(place: str, fault: Any) -> str:
    """A fault as pydantic finds it, as a line for the user."""
    *outer, last = [place, *(str(part) for part in fault["loc"] if part != "[key]")]
    key = ".".join([*outer, last])
    value = json.dumps(fault["input"], default=str, ensure_ascii=False)[:SHOWN].strip('"')
    match fault["type"]:
        case "missing":
            return f"{key} is missing: set it as the template's config.yaml does."
        case "extra_forbidden":
            sections: dict[str, type[Section]] = {"main": Main, "main.objective": Objective}
            allowed = [*sections.get(".".join(outer), ComponentSection).model_fields]
            near = difflib.get_close_matches(last, allowed, n=1)
            cure = (
                f"did you mean '{'.'.join([*outer, near[0]])}'?"
                if near
                else f"allowed are {', '.join(allowed)}."
            )
            return f"unknown config key '{key}': {cure}"
        case "literal_error":
            return f"{key}={value}: use {fault['ctx']['expected']}."
    return f"{key}={value} {CURES.get(fault['type'], fault['msg'])}"
