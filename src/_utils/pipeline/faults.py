"""Faults that can be known before anything runs, each told with its cure."""

from __future__ import annotations

import difflib
import importlib.util
import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from mlflow.exceptions import MlflowException
from mlflow.projects.utils import load_project

from _utils.artifacts.index import NAME
from _utils.artifacts.stores import chosen_store, store
from _utils.errors import UserError
from _utils.masking import has_password, masked
from _utils.models.registry import check_model_name, find_version
from _utils.sweeps.cluster import check_server
from _utils.variables import own_text

if TYPE_CHECKING:
    from mlflow.projects._project_spec import EntryPoint, Parameter

    from _utils.pipeline.plan import Component

# The backends there are, and the commands that they need
NEEDED = {"local": (), "slurm": ("srun",), "kubernetes": ("docker",), "databricks": ()}
# What reading an MLproject raises that is not as MLflow expects it
UNREADABLE = (MlflowException, yaml.YAMLError, AttributeError, TypeError, ValueError, OSError)
NUMBERS = {"float": float, "int": int}  # types of parameters whose values are numbers
LONGEST_PARAMETER = 6000  # characters, MLflow's limit


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
        entry_point = project.get_entry_point("main")
    except UNREADABLE as error:
        yield (
            f"src/{name}/MLproject cannot be read: {' '.join(str(error).split())}. It needs an "
            "entry point main with parameters and a command, as other components have it."
        )
        return
    declared = entry_point.parameters
    yield from in_command(name, entry_point)
    package = getattr(store(chosen_store()), "PACKAGE", "")
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
        if key in given and (problem := wrong_type(parameter, given[key], folder)):
            yield f"components.{name}.parameters.{key}: {problem}"
        empty = not given.get(key) and key.endswith(("_artifact", "_url", "artifact_name"))
        if parameter.default is None and (key not in given or empty):
            yield (
                f"parameter '{key}' of src/{name}/MLproject has no value: set "
                f"components.{name}.parameters.{key} in config.yaml."
            )


def in_command(name: str, entry_point: EntryPoint) -> Iterator[str]:
    """Parameters that the command of an MLproject lacks, and braces that are no parameters."""
    file, command = f"src/{name}/MLproject", entry_point.command
    declared = [str(key) for key in entry_point.parameters]
    if not isinstance(command, str) or not command.strip():
        yield f"{file}: the entry point main has no command: add one, such as python run.py."
        return
    braces = "Braces of the shell are written twice: {{ and }}."
    try:
        parts = string.Formatter().parse(command)
        named = dict.fromkeys(field for _, field, _, _ in parts if field is not None)
        if not named.keys() - declared:
            command.format(**dict.fromkeys(declared, "value"))
    except (ValueError, LookupError, AttributeError) as error:
        yield f"{file}: the command cannot be read: {error}. {braces}"
        return
    for field in (field for field in named if field not in declared):
        near = difflib.get_close_matches(field, declared, n=1)
        cure = f"did you mean {{{near[0]}}}?" if near else f"declare a parameter. {braces}"
        yield f"{file}: the command has {{{field}}}, which is no parameter of it: {cure}"
    for key in (key for key in declared if key not in named):
        yield (
            f"{file}: the parameter '{key}' does nothing, since the command does not name it: add "
            f"--{key}={{{key}}} to the command, or take the parameter out, in config.yaml too."
        )


def wrong_type(parameter: Parameter, value: str, folder: Path) -> str:
    """What is wrong with a value that is not of the declared type; empty if nothing is."""
    try:
        if value and parameter.type in NUMBERS:
            NUMBERS[parameter.type](value)
        elif parameter.type == "uri" or (parameter.type == "path" and "://" not in value):
            parameter.compute_value(value, str(folder), 0)
    except ValueError:
        return f"'{value}' is not of the type that MLproject declares, {parameter.type}."
    except MlflowException as error:
        return str(error)
    return ""


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
    for key, value in component.values.items():
        if key.endswith("_url") and "://" not in value:
            yield (
                f"components.{name}.parameters.{key}: '{component.parameters[key]}' is a file "
                "of this machine, which Kubernetes cannot see: give its URL, or let the component "
                f"run here with components.{name}.backend=local."
            )


def in_values(component: Component, root: Path) -> Iterator[str]:
    """Values that cannot work: too long, not an artifact's name, or a file that is not there."""
    place = f"components.{component.name}.parameters"
    for key, value in component.values.items():
        written = component.parameters[key]
        if len(written) > LONGEST_PARAMETER:
            yield f"{place}.{key} has {len(written)} characters, MLflow allows {LONGEST_PARAMETER}."
        if has_password(own_text(written)):
            yield (
                f"{place}.{key}: '{masked(written)}' holds a password, which MLflow would record: "
                "write ${oc.env:NAME} in its place, and set that variable."
            )
        if (
            key.endswith("_url")
            and value
            and "://" not in value
            and not (root / Path(value).expanduser()).is_file()
        ):
            yield (
                f"{place}.{key}: there is no file '{root / written}'. A path is taken from the "
                "repository's folder; anything else needs its scheme, such as https://."
            )
        other = f"{key.removesuffix('_url')}_artifact"  # of the same input
        if key.endswith("_url") and bool(value) == bool(component.values.get(other, not value)):
            yield (
                f"{place}: {key} is '{written}' and {other} '{component.parameters[other]}': "
                "give one of them, and leave the other empty ('')."
            )
    checks = dict.fromkeys(component.models, find_version) | {"registered_model": check_model_name}
    for key in checks.keys() & component.parameters.keys():
        try:
            checks[key](component.values[key])
        except UserError as error:
            yield f"{place}.{key}: {error}"
    for key, value in component.outputs.items():
        if not NAME.fullmatch(value):
            yield (
                f"{place}.{key}: '{value}' cannot be an artifact's name: "
                "use letters, digits, '_', '-' and '.'."
            )
