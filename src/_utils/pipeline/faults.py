"""Faults that can be known before anything runs, each told with its cure."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from mlflow.exceptions import MlflowException
from mlflow.projects.utils import load_project
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from _utils.errors import UserError
from _utils.index import NAME
from _utils.pipeline.options import keys_of
from _utils.registry import check_model_name, find_version
from _utils.stores import STORES, chosen_store
from _utils.sweeps.cluster import check_server

if TYPE_CHECKING:
    from _utils.pipeline.plan import Component

MAIN_KEYS = {
    *("project_name", "experiment_name", "execute_steps", "steps", "aliases"),
    *("reuse", "rerun", "plan", "artifact_store", "storage_url", "objective"),
    *("backend", "backend_config", "on_alarm", "retrain", "if_running"),
}
COMPONENT_KEYS = {"parameters", "cache", "backend", "backend_config"}
# Keys of `main` that take one of a few words
CHOICES = {
    "objective.direction": ("minimize", "maximize"),
    "on_alarm": ("report", "retrain"),
    "if_running": ("together", "wait", "skip"),
}
# The backends there are, and the commands that they need
NEEDED = {"local": (), "slurm": ("srun",), "kubernetes": ("docker",), "databricks": ()}
LONGEST_PARAMETER = 6000  # characters, MLflow's limit


def unknown_keys(config: DictConfig) -> Iterator[str]:
    """Keys of config.yaml that the machinery itself would silently ignore."""
    sections = {"main": (config.main, MAIN_KEYS)}
    for name, section in (config.get("components") or {}).items():
        sections[f"components.{name}"] = (section or {}, COMPONENT_KEYS)
    for prefix, (section, allowed) in sections.items():
        for key in sorted(set(section) - allowed):
            yield f"unknown config key '{prefix}.{key}': allowed are {', '.join(sorted(allowed))}."


def bad_choices(main: DictConfig) -> Iterator[str]:
    """Words that are none of those that a key of `main` allows."""
    for key, allowed in CHOICES.items():
        chosen = OmegaConf.select(main, key)
        if chosen not in allowed:
            words = f"{', '.join(allowed[:-1])} and {allowed[-1]}"
            yield f"main.{key} '{chosen}': allowed are {words}."


def unresolvable(config: DictConfig) -> Iterator[str]:
    """Values that refer to a key that is not there, or that are still to be given (`???`)."""
    for key in keys_of(config):
        try:
            OmegaConf.select(config, key, throw_on_missing=True)
        except OmegaConfBaseException as error:
            yield f"config.yaml, {key}: {str(error).splitlines()[0]}"


def in_project(component: Component) -> Iterator[str]:
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
        project = load_project(str(folder))
        declared = project.get_entry_point("main").parameters
    except (MlflowException, yaml.YAMLError, AttributeError) as error:
        yield f"src/{name}/MLproject cannot be read: {' '.join(str(error).split())}"
        return
    package = STORES[chosen_store()].PACKAGE
    if package and project.env_config_path:
        listed = Path(project.env_config_path).read_text(encoding="utf-8")
        if not re.search(rf"- {package}\b", listed):
            yield (
                f"src/{name}/conda.yml lacks {package}, which main.artifact_store="
                f"{chosen_store()} needs: add it, as the other components have it."
            )
    given = component.parameters
    for key in given.keys() - declared.keys():
        yield (
            f"parameter '{key}' of components.{name} in config.yaml is not declared in "
            f"src/{name}/MLproject: declare it there or take it out."
        )
    for key, parameter in declared.items():
        empty = not given.get(key) and key.endswith(("_artifact", "_url", "artifact_name"))
        if parameter.default is None and (key not in given or empty):
            yield (
                f"parameter '{key}' of src/{name}/MLproject has no value: set "
                f"components.{name}.parameters.{key} in config.yaml."
            )


def in_backend(component: Component) -> Iterator[str]:
    """What keeps the place where the component is to run from working."""
    backend = component.backend
    if backend not in NEEDED:
        yield (
            f"component '{component.name}': backend '{backend}' is none: "
            f"allowed are {', '.join(NEEDED)}."
        )
        return
    for command in NEEDED[backend]:
        if not shutil.which(command):
            yield f"component '{component.name}': backend {backend} needs the command {command}."
    if backend != "local":
        try:
            check_server(f"main.backend={backend}")
        except UserError as error:
            yield str(error)
    if backend == "kubernetes":
        yield from in_container(component)


def in_container(component: Component) -> Iterator[str]:
    """What keeps a component from becoming a job of Kubernetes."""
    name, config = component.name, component.backend_config
    if not importlib.util.find_spec("kubernetes"):
        yield "backend kubernetes needs a package: pip install 'kubernetes<37'."
    for key in ("kube-context", "kube-job-template-path", "repository-uri"):
        if key not in config:
            yield (
                f"component '{name}': backend kubernetes needs main.backend_config.{key}; see "
                "'Components on a cluster' in MLpipeline.md."
            )
    template = component.folder.parents[1] / config.get("kube-job-template-path", "")
    if not template.exists():
        yield f"component '{name}': there is no job template '{template}'."
    for key, value in component.parameters.items():
        if key.endswith("_url") and "://" not in value:
            yield (
                f"components.{name}.parameters.{key}: '{value}' is a file of this machine, which "
                "Kubernetes cannot see: give its URL, or let the component run here with "
                f"components.{name}.backend=local."
            )


def in_values(component: Component, root: Path) -> Iterator[str]:
    """Values that cannot work: too long, not an artifact's name, or a file that is not there."""
    place = f"components.{component.name}.parameters"
    for key, value in component.parameters.items():
        if len(value) > LONGEST_PARAMETER:
            yield f"{place}.{key} has {len(value)} characters, MLflow allows {LONGEST_PARAMETER}."
        if (
            key.endswith("_url")
            and value
            and "://" not in value
            and not (root / Path(value).expanduser()).is_file()
        ):
            yield (
                f"{place}.{key}: there is no file '{root / value}'. A path is taken from the "
                "repository's folder; anything else needs its scheme, such as https://."
            )
        other = f"{key.removesuffix('_url')}_artifact"  # of the same input
        if key.endswith("_url") and bool(value) == bool(component.parameters.get(other, not value)):
            yield (
                f"{place}: {key} is '{value}' and {other} '{component.parameters[other]}': "
                "give one of them, and leave the other empty ('')."
            )
    checks = dict.fromkeys(component.models, find_version) | {"registered_model": check_model_name}
    for key in checks.keys() & component.parameters.keys():
        try:
            checks[key](component.parameters[key])
        except UserError as error:
            yield f"{place}.{key}: {error}"
    for key, value in component.outputs.items():
        if not NAME.fullmatch(value):
            yield (
                f"{place}.{key}: '{value}' cannot be an artifact's name: "
                "use letters, digits, '_', '-' and '.'."
            )
