"""Faults of a component that can be found before anything runs, each with its cure."""

import os
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import yaml

from _utils.artifacts.index import check_name, parse_reference
from _utils.artifacts.stores import chosen_store, store
from _utils.capabilities import load_capability
from _utils.environment import told
from _utils.errors import UserError, did_you_mean
from _utils.internals import env_name
from _utils.masking import has_password, masked
from _utils.models.registry import find_version
from _utils.pipeline.component import Component
from _utils.pipeline.environments import check_command
from _utils.project import Parameter
from _utils.tabular.fetch import local_path
from _utils.variables import own_text

BACKENDS = ("local", "slurm", "kubernetes", "databricks")  # where components run
LONGEST_PARAMETER = 6000  # characters, MLflow's limit


def faults_of(component: Component, env_manager: str = "local") -> Iterator[str]:
    """All faults of a component: its MLproject, its environment, its values, where it runs."""
    name, project = component.name, component.project
    yield from in_command(f"src/{name}/MLproject", project.command, [*project.parameters])
    yield from in_environment(component, env_manager)
    for key in component.parameters.keys() - project.parameters.keys():
        yield (
            f"parameter '{key}' of components.{name} in config.yaml is not declared in "
            f"src/{name}/MLproject: declare it there, or remove it from config.yaml."
        )
    for parameter in project.parameters.values():
        for fault in in_value(component, parameter):
            yield f"components.{name}.parameters.{parameter.name}: {fault}"
    yield from in_backend(component)


def in_environment(component: Component, env_manager: str) -> Iterator[str]:
    """What is wrong with the file of a component's environment, or keeps MLflow from using it."""
    project, package = component.project, getattr(store(chosen_store()), "PACKAGE", "")
    file = os.path.relpath(project.env_file or component.folder, component.folder.parents[1])
    file, listed = Path(file).as_posix(), [package]
    try:
        if project.env_file:
            items = yaml.safe_load(project.env_file.read_text("utf-8")).get("dependencies") or []
            listed = [each for each in items if isinstance(each, str)]
            listed += [each for item in items if item not in listed for each in item["pip"] or []]
        if component.has_environment(env_manager):
            check_command(env_manager)
            if env_manager == "conda" and project.env_type != "conda_env":
                cure = "add conda_env: conda.yml, as other components have it"
                yield f"src/{component.name}/MLproject has no environment for conda: {cure}."
            env_name(component.folder, env_manager)
    except UserError as error:
        yield str(error)
    except Exception as error:  # MLflow reads the file without looking at its structure
        reason = " ".join(str(error).split()).rstrip(".")
        yield f"{file} cannot be read: {reason}. Write it as other components have it."
    else:
        wanted = re.compile(rf"(.*::)?{package}(?![\w.-])|-r")
        if package and not any(map(wanted.match, listed)):
            yield (
                f"{file} lacks {package}, which main.artifact_store={chosen_store()} needs: add "
                "it, as the other components do."
            )


def in_command(file: str, command: Any, declared: list[str]) -> Iterator[str]:
    """Parameters that the command does not name, and names in it that are no parameters."""
    braces = "Braces for the shell are doubled: {{ and }}."
    if not isinstance(command, str) or not command.strip():
        yield f"{file}: the entry point main has no command: add one, such as python run.py."
        return
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(command) if name is not None]
    except ValueError as error:
        yield f"{file}: the command cannot be read: {error}. {braces}"
        return
    for name in dict.fromkeys(name for name in fields if name not in declared):
        cure = did_you_mean(name, declared, f"declare the parameter. {braces}")
        yield f"{file}: the command names {{{name}}}, which is not a parameter: {cure}"
    for name in (name for name in declared if name not in fields):
        yield (
            f"{file}: the command does not name the parameter '{name}', so it has no effect: add "
            f"--{name}={{{name}}} to the command, or remove the parameter, in config.yaml too."
        )


def in_value(component: Component, parameter: Parameter) -> Iterator[str]:
    """What is wrong with the value of one parameter."""
    key, place = parameter.name, f"components.{component.name}.parameters"
    if key not in component.parameters:
        yield f"there is no value: set {place}.{key} in config.yaml."
        return
    written, value, kind = component.parameters[key], component.values[key], component.types[key]
    if len(written) > LONGEST_PARAMETER:
        yield f"the value has {len(written)} characters, MLflow allows {LONGEST_PARAMETER}."
    if has_password(own_text(written)):
        yield (
            f"'{masked(written)}' holds a password, which MLflow would record: write "
            "${oc.env:NAME} in its place, and set that variable."
        )
    try:
        replace(parameter, type=kind).parse(value)
        if value and kind in CHECKS:
            CHECKS[kind](value, component.folder.parents[1])
    except UserError as error:
        yield str(error)
    # Of two parameters for the same input
    other = f"{key.removesuffix('_url')}_artifact"
    if kind == "url" and bool(value) == bool(component.values.get(other, not value)):
        yield (
            f"{key} is '{written}' and {other} is '{component.parameters[other]}': set one of "
            "them, and leave the other empty ('')."
        )


def check_place(value: str, root: Path) -> None:
    """Raise UserError if a value is neither a URL nor the path of what there is."""
    if (path := local_path(value)) and not os.path.exists(root / path):  # noqa: PTH110
        raise UserError(
            f"there is no file '{root / path}'. A path starts at the repository's folder; "
            "anything else needs its scheme, such as https://."
        )


# What is checked of a value beyond its form, by the type of the parameter
CHECKS: dict[str, Callable[[str, Path], Any]] = {
    "artifact": lambda value, root: parse_reference(value),
    "output": lambda value, root: check_name(value),
    "model_output": lambda value, root: check_name(value),
    "model": lambda value, root: find_version(value),
    "url": check_place,
    "path": check_place,
}


def in_backend(component: Component) -> Iterator[str]:
    """What keeps the component's backend from working; each backend knows its own needs."""
    backend = component.backend
    if backend not in BACKENDS:
        yield (
            f"component '{component.name}' has the unknown backend '{backend}': choose from "
            f"{', '.join(BACKENDS)}."
        )
    elif backend != "local":
        wanted = f"main.backend={backend}"
        try:
            if backend != "databricks":  # which is MLflow's own
                yield from load_capability(f"backends.{backend}", wanted).faults(component)
            check_server(wanted)
        except UserError as error:
            yield str(error)


def check_server(wanted: str) -> None:
    """Raise UserError if `wanted` runs on machines that cannot reach the tracking store."""
    scheme = told("SERVED_STORE") or mlflow.get_tracking_uri().partition(":")[0]
    if scheme not in ("http", "https", "databricks"):
        raise UserError(
            f"{wanted} runs on machines that cannot reach the tracking store ({scheme}:...) of "
            "this one: start `mlflow server` with a PostgreSQL database and set "
            "MLFLOW_TRACKING_URI=http://<host>:<port>; see 'A tracking server' in MLpipeline.md."
        )
