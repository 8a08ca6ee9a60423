"""Runs a notebook as a component: python ../_utils/component/notebook.py run.ipynb --name=value ...

Each `--name=value` replaces, as text, the variable of that name in the notebook's cell tagged
"parameters". The executed page and the figures on it, named by the heading above them, become
artifacts of the run.
"""

import argparse
import base64
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # src/, where _utils lies

import mlflow
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import TagRemovePreprocessor

from _utils.artifacts import current_run_id
from _utils.component import launch, scratch_folder
from _utils.environment import tell
from _utils.errors import UserError
from _utils.masking import without_server_path
from _utils.variables import resolved, without_secrets


def go(args: argparse.Namespace) -> None:
    """Execute the notebook; publish it, also when one of its cells fails."""
    notebook = nbformat.read(args.notebook, as_version=4)
    set_parameters(notebook, args.parameters)
    # The notebook is a process of its own; this tells it which run it works for.
    tell("MLFLOW_RUN_ID", current_run_id())
    tell("PYTHONWARNINGS", "ignore:IProgress not found")  # for progress bars in a browser
    quiet = ["--log-level=ERROR"]
    client = NotebookClient(notebook, kernel_name="python3", timeout=None, extra_arguments=quiet)
    try:
        client.execute(cwd=str(args.notebook.resolve().parent))
    except CellExecutionError as error:
        for output in (each for cell in notebook.cells for each in cell.get("outputs", [])):
            if output.output_type == "error":
                output.traceback = [*map(without_secrets, output.traceback)]
        raise UserError(f"{args.notebook.name}: {error.ename}: {error.evalue}") from error
    except RuntimeError as error:  # nbclient's DeadKernelError, or it did not even start
        raise UserError(
            f"{args.notebook.name}: its kernel, the process that runs the cells, was killed "
            f"({error}), perhaps because memory ran out. Load less data at once, or free memory."
        ) from error
    finally:
        page = scratch_folder() / args.notebook.with_suffix(".html").name
        page.write_text(as_page(notebook), encoding="utf-8")
        mlflow.log_artifact(str(page))
        for name, png in figures(notebook).items():
            figure = scratch_folder() / name
            figure.write_bytes(png)
            mlflow.log_artifact(str(figure), "figures")


def set_parameters(notebook: nbformat.NotebookNode, parameters: dict[str, str]) -> None:
    """Put a cell with the parameters after the one tagged "parameters", as papermill does.

    One that takes from the environment reaches the kernel through it, so the page does not show it.

    Raises:
        UserError: The notebook has no such cell.
    """
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    places = [place for place, of_cell in enumerate(tags) if "parameters" in of_cell]
    if not places:
        raise UserError('The notebook has no cell tagged "parameters": tag the one that sets them.')
    lines = []
    for name, written in parameters.items():
        if (value := resolved(written)) == written:
            lines.append(f"{name} = {value!r}")
        else:
            tell(f"PARAMETER_{name}", value)
            lines.append(f"import os; {name} = os.environ['PARAMETER_{name}']  # {written!r}")
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(places[0] + 1, cell)


def as_page(notebook: nbformat.NotebookNode) -> str:
    """The notebook as one HTML page that opens without a network.

    The defaults of the parameters are left out, for the values that were used stand below them. So
    are the numbers of the cells, which would begin with 2.
    """
    urls = ["mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url"]
    exporter = HTMLExporter(
        **dict.fromkeys([*urls, "mermaid_layout_elk_js_url"], ""),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={"parameters"}), True)
    page, _ = exporter.from_notebook_node(notebook)
    return without_server_path(page)


def figures(notebook: nbformat.NotebookNode) -> dict[str, bytes]:
    """The PNG images among the outputs, in their order.

    Returns:
        The images by file names, which are made of a number and the heading above the image:
        `02_the_target.png`.
    """
    found: dict[str, bytes] = {}
    heading = "figure"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)][-1]
        images = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
        for image in filter(None, images):
            title = "_".join(re.findall(r"\w+", heading.lower()))[:60]
            found[f"{len(found) + 1:02}_{title}.png"] = base64.b64decode(image)
    return found


def parse_parameter(text: str) -> tuple[str, str]:
    """Split `--name=value`."""
    name, _, value = text.removeprefix("--").partition("=")
    return name, value


if __name__ == "__main__":
    # No parameter is taken for the beginning of --help
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("notebook", type=Path, help="the notebook to execute")
    known, rest = parser.parse_known_args()
    parser.set_defaults(parameters=dict(map(parse_parameter, rest)))
    sys.argv[1:] = [str(known.notebook)]
    launch(go, parser)
