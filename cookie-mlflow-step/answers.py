"""The answers to the template's questions: the parameters they declare, and what is wrong."""

import json
import keyword
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

KINDS = {".py": "script", ".ipynb": "notebook", ".sh": "executable"}
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
DEVICE = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # no file's name on Windows
# What the files of a component use themselves, and what Jupyter puts into each notebook
TAKEN = {
    *("help", "json", "sys", "mlflow", "Path", "int", "float", "In", "Out", "get_ipython"),
    *("MlflowClient", "current_run_id", "log_artifact", "scratch_file", "use_artifact"),
}


def matching(pattern: str) -> Callable[[str], str]:
    """A function that returns a text which matches a pattern, and raises TypeError for others."""
    return lambda text: re.fullmatch(pattern, text)[0]


# Types as an MLproject has them -> what reads a text as such, and the value without a default
TYPES: dict[str, tuple[Callable[[str], Any], Any]] = {
    "string": (str, ""),
    "int": (int, 0),
    "float": (float, 0.0),
    "bool": (lambda text: {"true": True, "false": False}[text], False),
    "json": (json.loads, {}),
    "artifact": (matching(f"{NAME}:{NAME}"), None),
    "output": (matching(NAME), None),
    "model_output": (matching(NAME), None),
    "url": (matching(r"\S.*"), None),
    "model": (matching(rf"models:/{NAME}[@/]{NAME}"), None),
}
# What the default of a type is that needs one
DEFAULTS = {
    "artifact": "name:version of one to use (type output is for one to make)",
    "output": "the name of an artifact to make",
    "model_output": "the name of a model to make",
    "url": "a URL or the path of a file",
    "model": "models:/name@alias or models:/name/version",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter as `name:type=default` declares it."""

    name: str
    type: str
    default: str | None

    @property
    def value(self) -> object:
        """Its value in config.yaml: the default, or an empty value of its type."""
        read, empty = TYPES[self.type]
        return empty if self.default is None else read(self.default)

    @property
    def text(self) -> str:
        """The value as a command line has it."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)

    @property
    def converter(self) -> str:
        """The Python function with which a notebook turns its text into its type, if any."""
        names = {"int": "int", "float": "float", "bool": "json.loads", "json": "json.loads"}
        return names.get(self.type, "")

    @property
    def is_input(self) -> bool:
        """Whether it names an artifact to use."""
        return self.type == "artifact"

    @property
    def is_output(self) -> bool:
        """Whether it names an artifact to make."""
        return self.type in ("output", "model_output")


def split_parameters(text: str) -> list[Parameter]:
    """Read `one, two:int=3, three:json={"a": [1, 2]}`; only in JSON may a default hold commas."""
    parameters, rest = [], text.strip()
    while rest:
        name, kind, equals, rest = re.match(
            r"([^,:=]*)(?::([^,=]*))?(=?)(.*)", rest, re.DOTALL
        ).groups()
        name, kind, default = name.strip(), (kind or "string").strip(), None
        kind = "string" if kind == "str" else kind
        if equals:
            rest = rest.lstrip()
            end = len(rest.partition(",")[0])
            if kind == "json":
                with suppress(ValueError):  # told later, as a default that does not fit
                    end = json.JSONDecoder().raw_decode(rest)[1]
            default, rest = rest[:end].strip(), rest[end:].lstrip()
        parameters.append(Parameter(name, kind, default))
        rest = rest.removeprefix(",").strip()
    return parameters


def word_fault(name: str) -> str:
    """Why this cannot be a name in a script, in YAML and on a command line; empty if it can."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", name):
        return "use up to 100 letters, digits and _, beginning with a letter"
    if keyword.iskeyword(name) or yaml.safe_load(name) != name:
        return "the word has a meaning in Python or YAML"
    return ""


def name_faults(name: str) -> list[str]:
    """Why a component cannot have this name."""
    why = word_fault(name)
    if name in sys.stdlib_module_names:
        why = "it is a module of Python's own"
    elif name == "all":
        why = "`steps=all` runs all components"
    elif DEVICE.fullmatch(name):
        why = "Windows reserves it"
    if not why:
        return []
    return [f"step_name '{name}' cannot be a component's name: {why}."]


def script_faults(script: str) -> list[str]:
    """Why a component's script cannot have this name."""
    stem, dot, extension = script.rpartition(".")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", stem):
        why = "it is a bare file name of letters, digits, _ and -, such as run.py"
    elif dot + extension not in KINDS:
        why = f"its extension is one of {', '.join(KINDS)}"
    elif stem in sys.stdlib_module_names or stem in ("mlflow", "pandas"):
        why = "Python would import it instead of the module of that name"
    elif DEVICE.fullmatch(stem):
        why = "Windows reserves it"
    else:
        return []
    return [f"script_name '{script}' is not allowed: {why}."]


def parameter_faults(parameters: list[Parameter], is_executable: bool) -> list[str]:
    """Why these cannot be a component's parameters."""
    faults = []
    names = [parameter.name for parameter in parameters]
    for name in dict.fromkeys(names):
        if why := word_fault(name):
            faults.append(f"parameter '{name}' is no name: {why}.")
        elif name in TAKEN:
            faults.append(f"parameter '{name}' is taken already: choose another name.")
        elif is_executable and name != name.lower():
            faults.append(f"parameter '{name}': use small letters, for a shell has others itself.")
        if names.count(name) > 1:
            faults.append(f"parameter '{name}' is given {names.count(name)} times.")
    for parameter in parameters:
        if parameter.type not in TYPES:
            known = ", ".join(TYPES)
            faults.append(
                f"parameter '{parameter.name}' has the unknown type '{parameter.type}': choose "
                f"from {known}."
            )
        elif not fits(parameter):
            kind = f"parameter '{parameter.name}' of type {parameter.type}"
            cure = DEFAULTS.get(parameter.type, f"a value of type {parameter.type}")
            if parameter.default is None:
                faults.append(f"{kind} needs a default: {cure}.")
            else:
                faults.append(f"{kind} cannot have the default '{parameter.default}': give {cure}.")
    return faults


def fits(parameter: Parameter) -> bool:
    """Whether the default can be read as the type; some types need a default."""
    if parameter.default is None:
        return parameter.type not in DEFAULTS
    try:
        TYPES[parameter.type][0](parameter.default)
    except (ValueError, KeyError, TypeError):
        return False
    return True


def all_faults(step_name: str, script_name: str, parameters: str) -> list[str]:
    """All that is wrong with the answers, one line for each fault."""
    declared = split_parameters(parameters)
    is_executable = script_name.endswith(".sh")
    return [
        *name_faults(step_name),
        *script_faults(script_name),
        *parameter_faults(declared, is_executable),
    ]
