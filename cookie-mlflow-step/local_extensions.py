"""What the template computes out of the answers: cookiecutter loads these as Jinja filters.

`checked` runs after the last question and before anything is written.
"""

import json
import shlex
import textwrap
from pathlib import Path

import yaml
from answers import KINDS, Parameter, all_faults, split_parameters
from click import ClickException
from cookiecutter.utils import simple_filter


@simple_filter
def checked(answers: dict) -> str:
    """Refuse answers that make no component, all faults together, before anything is written."""
    faults = all_faults(answers["step_name"], answers["script_name"], answers["parameters"])
    if faults:
        raise ClickException("nothing was made.\n" + "\n".join(faults))
    return "yes"


@simple_filter
def kind(script: str) -> str:
    """What a script is, by its extension: script, notebook or executable."""
    return KINDS["." + script.rpartition(".")[2]]


@simple_filter
def parsed(parameters: str) -> list[Parameter]:
    """The parameters that the answer declares."""
    return split_parameters(parameters)


@simple_filter
def docstring(text: str, summary: bool = False) -> str:
    """Any text as (part of) a docstring; a summary ends in a stop."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').strip()
    if summary:
        text = " ".join(text.split())
        text += "" if text.endswith((".", "!", "?")) else "."
    lines = [textwrap.fill(line, 96, break_long_words=False) for line in text.splitlines()]
    return "\n".join(lines)


@simple_filter
def comment(text: str) -> str:
    """Any text as comment lines of YAML or a shell."""
    lines = ("".join(filter(str.isprintable, line)).strip() for line in text.splitlines())
    wrapped = (textwrap.wrap(line, 96, break_long_words=False) or [""] for line in lines)
    return "\n".join(f"# {line}".rstrip() for part in wrapped for line in part)


@simple_filter
def quoted(value: object) -> str:
    """A value as YAML has it on one line; text in quotes where it needs them."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.removesuffix("...\n").strip()


def literal(text: str) -> str:
    """A text as a Python literal, in double quotes unless the formatter would have it otherwise."""
    double = json.dumps(text, ensure_ascii=False)
    return repr(text) if '"' in text and "'" not in text else double


@simple_filter
def as_python(text: str) -> str:
    """A text as a Python literal."""
    return literal(text)


@simple_filter
def as_json(answers: dict) -> str:
    """All answers as a Python literal of their JSON, with where this folder really is."""
    return repr(json.dumps({**answers, "_repo_dir": str(Path(__file__).resolve().parent)}))


@simple_filter
def as_shell(value: str) -> str:
    """A text as a shell takes it for one word."""
    return shlex.quote(value)


@simple_filter
def notebook(answers: dict) -> str:
    """The notebook as JSON: a title, parameters, their types, and a place for the user's code."""
    parameters = split_parameters(answers["parameters"])
    defaults = [f"{item.name} = {literal(item.text)}" for item in parameters]
    converted = [f"{x.name} = {x.converter}({x.name})" for x in parameters if x.converter]
    used = [f"{x.name} = use_artifact({x.name})" for x in parameters if x.is_input]
    made = [line for item in parameters if item.is_output for line in publishing(item, answers)]
    models = [item.name for item in parameters if item.type == "model_output"]
    files = [item.name for item in parameters if item.type == "output"]
    words = [("current_run_id", True), ("log_artifact", files), ("use_artifact", used)]
    imported = ", ".join(word for word, wanted in words if wanted)
    start = [
        *(["import json"] if any("json" in line for line in converted) else []),
        "import sys",
        "from pathlib import Path",
        "",
        *(["import pandas as pd"] if models else []),
        "from mlflow import MlflowClient",
        *(["from sklearn.dummy import DummyRegressor"] if models else []),
        "",
        "sys.path.append(str(Path.cwd().parent))  # src/, where _utils lies",
        f"from _utils.artifacts import {imported}",
        *(["from _utils.component import scratch_file"] if files else []),
        *(["from _utils.models import log_model"] if models else []),
        "",
        f'MlflowClient().set_tag(current_run_id(), "job_type", {literal(answers["job_type"])})',
        *converted,
        *used,
    ]
    work = ["# ---- Your code here; src/eda/eda.ipynb is an example. ----", *made]
    title = f"# {answers['short_description']}\n\n{answers['long_description']}"
    cells = [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": title},
        code_cell("parameters", defaults, {"tags": ["parameters"]}),
        code_cell("start", start, {}),
        code_cell("work", work, {}),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    page = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(page, indent=1, ensure_ascii=False)


def publishing(output: Parameter, answers: dict) -> list[str]:
    """The lines of a notebook that publish an artifact, or a model."""
    if output.type == "model_output":
        return [
            "",
            "# Any model that MLflow has a flavor for; the example has the features that it takes",
            'example = pd.DataFrame({"feature": [0.0, 1.0]})',
            "model = DummyRegressor().fit(example, [0.0, 1.0])",
            f"log_model(model, name={output.name}, example=example)",
        ]
    return [
        "",
        f"{output.name} = scratch_file({output.name})",
        f'{output.name}.write_text("what this component makes")',
        f'log_artifact({output.name}, type="{answers["step_name"]}")',
    ]


def code_cell(name: str, lines: list[str], metadata: dict) -> dict:
    """A cell that was never run."""
    cell = {"cell_type": "code", "execution_count": None, "id": name, "metadata": metadata}
    return {**cell, "outputs": [], "source": "\n".join(lines)}
