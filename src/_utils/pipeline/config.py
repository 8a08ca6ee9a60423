"""What the pipeline reads of the config: validated, and resolved once for each round."""

import difflib
import json
from contextlib import suppress
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from _utils.errors import UserError
from _utils.variables import each_text, kept_as_written, value_of

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
    storage_url: str | None = None
    backend: str
    backend_config: dict[str, Any] | None
    objective: Objective
    on_alarm: Literal["report", "retrain"]
    retrain: list[Assignment] | None
    plan: Literal[True, False, "mermaid"]
    verbose: bool = False
    warm_start: bool = True


class ComponentSection(Section):
    """`components.<name>`: what the config says of one component."""

    parameters: dict[str, Any] | None = None  # with ${oc.env:...} as it is written
    cache: bool | None = None  # None: the pipeline decides
    backend: str | None = None
    backend_config: dict[str, Any] | None = None


class Config(BaseModel):
    """The config of one round of the pipeline; only `${oc.env:...}` is as it is written."""

    main: Main
    components: dict[str, Annotated[ComponentSection, BeforeValidator(lambda value: value or {})]]
    values: dict[str, Any]  # all sections, for the record
    faults: list[str]  # for each value that cannot be resolved; it is None


def read_config(config: DictConfig) -> Config:
    """Resolve and validate the config of one round of the pipeline.

    Raises:
        UserError: One line for each fault, if a key or a type is wrong. Otherwise the plan tells
            what cannot be resolved, along with its own faults.
    """
    written, faults = but_for_variables(config)
    main = each_text(value_of, written.get("main"))
    components = each_text(value_of, written.get("components"))
    for name, section in components.items() if isinstance(components, dict) else ():
        if isinstance(section, dict):
            section["parameters"] = written["components"][name].get("parameters")
    try:
        read = Config(main=main, components=components, values=written, faults=[*faults.values()])
    except ValidationError as error:
        faults = dict(map(as_fault, error.errors())) | faults
        raise UserError("\n".join(dict.fromkeys(faults.values()))) from error
    read.values["main"] = main | {"retrain": written["main"]["retrain"]}
    keys = keys_of(written)
    assigned = [each.partition("=")[0] for each in read.main.retrain or []]
    if unknown := [unknown_key(key, keys) for key in assigned if key not in keys]:
        raise UserError("\n".join(f"main.retrain: {line}" for line in unknown))
    return read


def but_for_variables(config: DictConfig) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a config, all resolved but what takes from the environment.

    Returns:
        The values; and what is wrong, by its key, with each that is missing (`???`), or refers to
        a key that is not there or a variable that is not set: these are None.
    """
    kept, faults = kept_as_written(config), {}
    with suppress(OmegaConfBaseException, UserError):
        values = OmegaConf.to_container(kept, resolve=True, throw_on_missing=True)
        each_text(value_of, values)
        return values, {}
    for key in keys_of(OmegaConf.to_container(kept)):
        try:
            each_text(value_of, OmegaConf.select(kept, key, throw_on_missing=True))
        except UserError as error:
            faults[key] = str(error)
        except OmegaConfBaseException as error:
            faults[key] = f"config.yaml, {key}: {str(error).splitlines()[0]}"
        if key in faults:
            OmegaConf.update(kept, key, None)
    return OmegaConf.to_container(kept, resolve=True), faults


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


def unknown_key(key: str, keys: list[str], otherwise: str = "config.yaml lists the keys.") -> str:
    """What to say about a key that is not among these; its last part may be all that was typed."""
    ends = {each.rpartition(".")[2]: each for each in reversed(keys)}
    near = difflib.get_close_matches(key, [*keys, *ends], 1, 0.75)
    cure = f"did you mean '{ends.get(near[0], near[0])}'?" if near else otherwise
    return f"unknown config key '{key}': {cure}"


def keys_of(section: Any, prefix: str = "") -> list[str]:
    """All keys of a config in dotted form, inner keys and places in lists included."""
    keys = []
    if isinstance(section, dict | list):
        for key, value in section.items() if isinstance(section, dict) else enumerate(section):
            keys += [f"{prefix}{key}", *keys_of(value, f"{prefix}{key}.")]
    return keys
