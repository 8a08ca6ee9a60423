"""Runs a notebook as a component: python ../_utils/component/notebook.py run.ipynb --name=value ...

Each `--name=value` replaces, as text, the variable of that name in the notebook's cell tagged
"parameters". The executed page, and its figures named by the headings above them, become artifacts
of the run.
"""

import argparse
import base64
import re
import sys
import warnings
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

import mlflow
import nbformat
from jinja2 import DictLoader
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import TagRemovePreprocessor

from _utils.artifacts import current_run_id
from _utils.component import launch, scratch_folder
from _utils.environment import tell
from _utils.errors import UserError
from _utils.masking import without_secrets, without_server_path
from _utils.variables import resolved

# The code of each cell is folded, but for the parameters. In the dark all but figures is inverted
FOLDED = """{% extends "lab/index.html.j2" %}
{% block notebook_css %}{{ super() }}<style>
@media (prefers-color-scheme: dark) {
  body { background: #191919 !important; }
  main { background: white; filter: invert(0.9) hue-rotate(180deg); }
  img { filter: invert(1) hue-rotate(180deg); }
}
</style>{% endblock %}
{% block input_group %}
{% if "injected-parameters" in cell.metadata.tags %}{{ super() }}
{% else %}<details><summary>Code</summary>{{ super() }}</details>{% endif %}
{% endblock %}"""


def go(args: argparse.Namespace) -> None:
    """Execute the notebook; publish the page and the figures, also if a cell fails."""
    notebook = nbformat.read(args.notebook, as_version=4)
    set_parameters(notebook, args.parameters)
    # The notebook is a process of its own; this tells it which run it works for.
    tell("MLFLOW_RUN_ID", current_run_id())
    tell("PYTHONWARNINGS", "ignore:IProgress not found")  # for progress bars in a browser
    warnings.filterwarnings("ignore", "Proactor event loop")  # on Windows, where all works
    quiet = ["--log-level=ERROR"]
    client = NotebookClient(notebook, kernel_name="python3", timeout=None, extra_arguments=quiet)
    try:
        client.execute(cwd=str(args.notebook.resolve().parent))
    except CellExecutionError as error:
        for output in (each for cell in notebook.cells for each in cell.get("outputs", [])):
            if output.output_type == "error":
                output.traceback = [*map(without_secrets, output.traceback)]
        raise UserError(f"{args.notebook.name}: {error.ename}: {error.evalue}") from error
    except RuntimeError as error:  # the kernel was killed, or did not start
        raise UserError(
            f"{args.notebook.name}: the kernel, which runs the cells, was killed ({error}); "
            "perhaps memory ran out. Load less data at once, or free memory."
        ) from error
    finally:
        mlflow.log_text(as_page(notebook), args.notebook.with_suffix(".html").name)
        folder = scratch_folder() / "figures"
        folder.mkdir(exist_ok=True)
        for name, png in figures(notebook).items():
            (folder / name).write_bytes(png)
        mlflow.log_artifacts(str(folder), "figures")


def set_parameters(notebook: nbformat.NotebookNode, parameters: dict[str, str]) -> None:
    """Put a cell with the parameters after the one tagged "parameters", as papermill does.

    Values that take from the environment reach the kernel through it, so the page does not show
    them.

    Raises:
        UserError: The notebook has no such cell.
    """
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    tagged = [number for number, of_cell in enumerate(tags) if "parameters" in of_cell]
    if not tagged:
        raise UserError('The notebook has no cell tagged "parameters": tag the one that sets them.')
    lines = []
    for name, written in parameters.items():
        lines.append(f"{name} = {written!r}")
        if (value := resolved(written)) != written:
            tell(f"PARAMETER_{name}", value)
            lines[-1] = f"import os; {name} = os.environ['PARAMETER_{name}']  # {written!r}"
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(tagged[0] + 1, cell)


def as_page(notebook: nbformat.NotebookNode) -> str:
    """The notebook as one HTML page that opens without a network.

    It shows the parameters' values and not their defaults, and no cell numbers; code is folded.
    """
    urls = ["mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url"]
    exporter = HTMLExporter(
        **dict.fromkeys([*urls, "mermaid_layout_elk_js_url"], ""),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        template_file="folded",
        extra_loaders=[DictLoader({"folded": FOLDED})],
    )
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={"parameters"}), True)
    return without_server_path(exporter.from_notebook_node(notebook)[0])


def figures(notebook: nbformat.NotebookNode) -> dict[str, bytes]:
    """The PNG images among the outputs by file names such as `01_are_there_duplicates.png`.

    A name has the number of the image and the heading above it.
    """
    images: dict[str, bytes] = {}
    heading = "figure"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)][-1]
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                title = "_".join(re.findall(r"\w+", heading.lower()))[:60]
                images[f"{len(images) + 1:02}_{title}.png"] = base64.b64decode(png)
    return images


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("notebook", type=Path, help="the notebook to execute")
    known, rest = parser.parse_known_args()
    words = [word.removeprefix("--").partition("=") for word in rest]
    parser.set_defaults(parameters={name: value for name, _, value in words})
    sys.argv[1:] = [str(known.notebook)]
    launch(go, parser)
