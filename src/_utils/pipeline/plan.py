"""The plan: which components run with which parameters, all faults found before the first runs."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.exceptions import MlflowException
from mlflow.projects.utils import load_project
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from _utils.artifacts import LATEST, NAME, find_artifact, parse_reference
from _utils.errors import UserError
from _utils.pipeline.options import keys_of

MAIN_KEYS = {"project_name", "experiment_name", "execute_steps", "steps", "aliases"}
COMPONENT_KEYS = {"parameters"}
LONGEST_PARAMETER = 6000  # characters, MLflow's limit


@dataclass(frozen=True)
class Component:
    """A component as this pipeline is going to run it."""

    name: str
    folder: Path
    parameters: dict[str, str]

    @property
    def inputs(self) -> dict[str, str]:
        """Parameters that name an artifact to use: `..._artifact` with the value `name:version`."""
        return {
            key: value
            for key, value in self.parameters.items()
            if key.endswith("_artifact") and ":" in value
        }

    @property
    def outputs(self) -> dict[str, str]:
        """Parameters that name an artifact to make: `artifact_name`, or `..._artifact` alone."""
        return {
            key: value
            for key, value in self.parameters.items()
            if (key == "artifact_name" or key.endswith("_artifact")) and ":" not in value
        }


def make_plan(config: DictConfig, root: Path, experiment_id: str) -> list[Component]:
    """Decide what runs, in the order of `main.execute_steps`.

    Args:
        config: The whole config.
        root: The repository's folder.
        experiment_id: Where artifacts that this pipeline does not make itself are looked up.

    Raises:
        UserError: One line for each fault in the config, the components or their artifacts.
    """
    names, faults = select_steps(config.main, list(config.components))
    faults += [*_unknown_keys(config), *_unresolvable(config)]
    components = []
    for name in names:
        try:
            given = OmegaConf.to_container(config.components[name], resolve=True) or {}
        except OmegaConfBaseException:
            continue  # told already
        texts = {key: as_text(value) for key, value in (given.get("parameters") or {}).items()}
        component = Component(name, root / "src" / name, texts)
        components.append(component)
        faults += [*_project_faults(component), *_value_faults(component, root)]
    faults += _artifact_faults(components, experiment_id)
    if faults:
        raise UserError("\n".join(faults))
    return components


def select_steps(main: DictConfig, configured: list[str]) -> tuple[list[str], list[str]]:
    """The components that `main.steps` asks for, in the order of `main.execute_steps`.

    One that is configured but not in `execute_steps` runs only when named, after the others.

    Returns:
        The names of the components, and a fault for each name that no component has.
    """
    order = list(main.execute_steps)
    steps = main.steps.split(",") if isinstance(main.steps, str) else list(main.steps)
    aliases = main.get("aliases") or {}
    steps = [str(step).strip() for step in steps]
    asked = order if steps == ["all"] else [aliases.get(step, step) for step in steps if step]
    known = [*configured, *aliases]
    faults = []
    for name in dict.fromkeys(asked):
        if name not in configured:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(known)}."
            faults.append(f"unknown step '{name}': {cure}")
    if not asked:
        faults.append(f"main.steps '{main.steps}' names no step: known are: {', '.join(known)}.")
    unlisted = [name for name in configured if name not in order]
    return [name for name in [*order, *unlisted] if name in asked and name in configured], faults


def as_text(value: Any) -> str:
    """A config value as the parameter of a component: text as it is, null empty, the rest JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _unknown_keys(config: DictConfig) -> Iterator[str]:
    """Keys of config.yaml that the machinery itself would silently ignore."""
    sections = {"main": (config.main, MAIN_KEYS)}
    for name, section in (config.get("components") or {}).items():
        sections[f"components.{name}"] = (section or {}, COMPONENT_KEYS)
    for prefix, (section, allowed) in sections.items():
        for key in sorted(set(section) - allowed):
            yield f"unknown config key '{prefix}.{key}': allowed are {', '.join(sorted(allowed))}."


def _unresolvable(config: DictConfig) -> Iterator[str]:
    """Values that refer to a key that is not there, or that are still to be given (`???`)."""
    for key in keys_of(config):
        try:
            OmegaConf.select(config, key, throw_on_missing=True)
        except OmegaConfBaseException as error:
            yield f"config.yaml, {key}: {str(error).splitlines()[0]}"


def _project_faults(component: Component) -> Iterator[str]:
    """What is wrong between the component's folder and its parameters in the config."""
    name, folder = component.name, component.folder
    if not folder.is_dir():
        yield (
            f"component '{name}' has no folder src/{name}: make it with "
            "`cookiecutter cookie-mlflow-step -o src`, or take the name out of config.yaml."
        )
        return
    if not (folder / "MLproject").is_file():
        yield f"src/{name} has no MLproject file: copy one from another component and adapt it."
        return
    try:
        declared = load_project(str(folder)).get_entry_point("main").parameters
    except (MlflowException, yaml.YAMLError, AttributeError) as error:
        yield f"src/{name}/MLproject cannot be read: {' '.join(str(error).split())}"
        return
    given = component.parameters
    for key in given.keys() - declared.keys():
        yield (
            f"parameter '{key}' of components.{name} in config.yaml is not declared in "
            f"src/{name}/MLproject: declare it there or take it out."
        )
    for key, parameter in declared.items():
        if key not in given and parameter.default is None:
            yield (
                f"parameter '{key}' of src/{name}/MLproject has no value: set "
                f"components.{name}.parameters.{key} in config.yaml."
            )


def _value_faults(component: Component, root: Path) -> Iterator[str]:
    """Values that cannot work: too long, not an artifact's name, or a file that is not there."""
    place = f"components.{component.name}.parameters"
    for key, value in component.parameters.items():
        if len(value) > LONGEST_PARAMETER:
            yield f"{place}.{key} has {len(value)} characters, MLflow allows {LONGEST_PARAMETER}."
        if (
            key.endswith("_url")
            and "://" not in value
            and not (root / Path(value).expanduser()).is_file()
        ):
            yield (
                f"{place}.{key}: there is no file '{root / value}'. A path is taken from the "
                "repository's folder; anything else needs its scheme, such as https://."
            )
    for key, value in component.outputs.items():
        if not NAME.fullmatch(value):
            yield (
                f"{place}.{key}: '{value}' cannot be an artifact's name: "
                "use letters, digits, '_', '-' and '.'."
            )


def _artifact_faults(components: list[Component], experiment_id: str) -> Iterator[str]:
    """Inputs that neither an earlier component makes nor an earlier run has published."""
    made_earlier: set[str] = set()
    for component in components:
        for key, reference in component.inputs.items():
            try:
                name, version = parse_reference(reference)
                if version != LATEST or name not in made_earlier:
                    find_artifact(name, version, experiment_id if version == LATEST else None)
            except UserError as error:
                yield f"components.{component.name}.parameters.{key}: {error}"
        made_earlier.update(component.outputs.values())
