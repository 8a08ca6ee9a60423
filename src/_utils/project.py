"""What an MLproject declares: the parameters of a component, each with a type, and its command.

MLflow takes a type that it does not know for a string, so `mlflow run` alone works with all types.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from _utils.errors import UserError, did_you_mean
from _utils.internals import load_mlproject
from _utils.variables import as_text

# The types of parameters, and what a value of each is
TYPES = {
    "string": "any text",
    "int": "a whole number, such as 42",
    "float": "a number, such as 0.5",
    "bool": "true or false",
    "json": 'JSON, such as [1, 2] or {"a": 1}',
    "artifact": "an artifact to use, as name:version",
    "output": "the name of an artifact that the component makes",
    "model_output": "the name of a model that the component makes, also an artifact",
    "url": "a URL, or the path of a file",
    "model": "a registered model, as models:/name@alias or models:/name/version",
    "path": "the path of a file or folder",  # this one and the next are MLflow's own
    "uri": "a URI with its scheme, such as s3://bucket/file",
}
SYNONYMS = {"str": "string"}
# Types that MLprojects had before the others were added; then names told what is an artifact
EARLIER_TYPES = {"string", "int", "float", "path", "uri"}
READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "json": json.loads,
    "uri": lambda text: re.match(r"[\w+.-]+:.*", text)[0],
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a component, as its MLproject declares it."""

    name: str
    type: str = "string"
    default: str | None = None  # without one, a value is required
    description: str = ""

    def parse(self, text: str) -> Any:
        """Turn a text into a value of the type; an empty text is None, unless the type is string.

        Raises:
            UserError: The text is not of the type, the type is unknown, or a value is required.
        """
        if self.type == "string":
            return text
        if self.type not in TYPES:
            cure = did_you_mean(self.type, TYPES)
            raise UserError(f"its MLproject has the unknown type '{self.type}': {cure}")
        if not text and self.default is None:
            raise UserError(f"a value is required: {TYPES[self.type]}.")
        try:
            return READERS.get(self.type, str)(text) if text else None
        except (ValueError, LookupError, TypeError):
            fault = f"'{text:.100}' is not of the type {self.type}: write {TYPES[self.type]}."
            raise UserError(fault) from None


@dataclass(frozen=True)
class Project:
    """The MLproject of a component."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    command: str = ""
    env_type: str = ""  # the key that names its environment: conda_env, python_env or docker_env
    env_file: Path | None = None

    @property
    def defaults(self) -> dict[str, str]:
        """The values of the parameters that need not be set."""
        return {k: each.default for k, each in self.parameters.items() if each.default is not None}

    def type_of(self, name: str, value: str) -> str:
        """The type of a parameter, for a string perhaps one that its name or its value shows."""
        declared = {each.name: each.type for each in self.parameters.values()}
        if declared.get(name, "string") != "string":
            return declared[name]
        if value.startswith("models:/"):  # else a run could be reused for another model
            return "model"
        return type_by_name(name, value) if {*declared.values()} <= EARLIER_TYPES else "string"


def type_by_name(name: str, value: str) -> str:
    """The type of a parameter in MLprojects from before parameters had these types."""
    if name.endswith("_url"):
        return "url"
    if name == "artifact_name" or name.endswith("_artifact"):
        return "artifact" if ":" in value and name != "artifact_name" else "output"
    return "string"


def read_project(folder: Path) -> Project:
    """Read the MLproject of the component in this folder of src/.

    Raises:
        UserError: There is none, or MLflow could not run it.
    """
    name = folder.name
    if not folder.is_dir():
        raise UserError(
            f"component '{name}' has no folder src/{name}: make it with "
            "`cookiecutter cookie-mlflow-step -o src`, or take the name out of config.yaml."
        )
    if not (file := folder / "MLproject").is_file():
        raise UserError(f"src/{name} has no MLproject: copy one from another component, adapt it.")
    try:
        project = load_mlproject(folder)
        entry_point = project.get_entry_point("main")
        sections = yaml.safe_load(file.read_text("utf-8"))["entry_points"]["main"]
        written = sections.get("parameters", {})
        parameters = {
            key: Parameter(
                key,
                SYNONYMS.get(each.type, str(each.type)),
                None if each.default is None else _as_text(each.default),
                # MLflow drops the description
                "" if isinstance(written[key], str) else str(written[key].get("description", "")),
            )
            for key, each in entry_point.parameters.items()
        }
    except Exception as error:  # MLflow reads an MLproject without looking at its structure
        raise UserError(
            f"src/{name}/MLproject cannot be read: {' '.join(str(error).split())}. It needs an "
            "entry point main with parameters and a command, as other components have it."
        ) from error
    file = project.env_config_path
    env_file = Path(os.path.normpath(file)) if file else None
    return Project(parameters, entry_point.command, project.env_type, env_file)


def check_is_active(env_manager: str) -> None:
    """Raise UserError if MLflow could not activate the environment that it made for this process.

    Where the shell lacks conda's hook, `source activate <name>` may find another `activate`.
    """
    if env_manager == "conda" and not Path(sys.prefix).name.startswith("mlflow-"):
        conda = shutil.which("conda") or "<the path of conda>"
        raise UserError(
            f"MLflow could not activate its conda environment, {sys.prefix} is active. Type "
            f"`export CONDA_EXE={Path(conda).resolve()}`, then the same command again; or use the "
            "active environment: mlflow run ... --env-manager local."
        )


def _as_text(default: object) -> str:
    return as_text(default) if isinstance(default, bool | list | dict) else str(default)
