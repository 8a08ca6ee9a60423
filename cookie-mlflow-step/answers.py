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
ARTIFACT = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}(:(latest|[0-9a-f]{12}))?"
# What the files of a component use themselves, and what Jupyter puts into each notebook
TAKEN = {
    *("help", "json", "sys", "tempfile", "Path", "int", "float", "In", "Out", "get_ipython"),
    *("MlflowClient", "current_run_id", "log_artifact", "scratch_file", "use_artifact"),
}
# Type -> what reads a text as such, and what stands for a default that is not given.
TYPES: dict[str, tuple[Callable[[str], Any], Any]] = {
    "str": (str, ""),
    "int": (int, 0),
    "float": (float, 0.0),
    "bool": (lambda text: {"true": True, "false": False}[text], False),
    "json": (json.loads, {}),
    "artifact": (lambda text: re.fullmatch(ARTIFACT, text)[0], None),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter as `name:type=default` declares it."""

    name: str
    type: str
    default: str | None

    @property
    def value(self) -> object:
        """What config.yaml gives it: the default, or an empty value of its type."""
        read, empty = TYPES[self.type]
        return empty if self.default is None else read(self.default)

    @property
    def text(self) -> str:
        """The value as a command line has it."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)

    @property
    def converter(self) -> str:
        """The Python function that turns its text into its type, if it needs one."""
        names = {"int": "int", "float": "float", "bool": "json.loads", "json": "json.loads"}
        return names.get(self.type, "")

    @property
    def is_input(self) -> bool:
        """Whether it names an artifact to use: `name:version`."""
        return self.type == "artifact" and ":" in self.default

    @property
    def is_output(self) -> bool:
        """Whether it names an artifact to make: a bare name."""
        return self.type == "artifact" and not self.is_input


def split_parameters(text: str) -> list[Parameter]:
    """Read `one, two:int=3, three:json={"a": [1, 2]}`; only in JSON may a default hold commas."""
    parameters, rest = [], text.strip()
    while rest:
        name, kind, equals, rest = re.match(
            r"([^,:=]*)(?::([^,=]*))?(=?)(.*)", rest, re.DOTALL
        ).groups()
        name, kind, default = name.strip(), (kind or "str").strip(), None
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
                f"parameter '{parameter.name}': type '{parameter.type}' is none of {known}."
            )
        elif parameter.type == "artifact" and not parameter.name.endswith("_artifact"):
            faults.append(f"parameter '{parameter.name}': an artifact's name ends with _artifact.")
        elif not fits(parameter):
            given = "no default" if parameter.default is None else f"default '{parameter.default}'"
            wanted = parameter.type
            if wanted == "artifact":
                wanted += ": name:version is one to use, a name alone one to make"
            faults.append(f"parameter '{parameter.name}': {given} is no {wanted}.")
    return faults


def fits(parameter: Parameter) -> bool:
    """Whether the default can be read as the type; an artifact needs one."""
    if parameter.default is None:
        return parameter.type != "artifact"
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
