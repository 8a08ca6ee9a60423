import base64
import os
from argparse import Namespace

import nbformat
import pytest

from _utils.component.notebook import as_page, figures, go, set_parameters
from _utils.errors import UserError

PNG = base64.b64encode(b"a picture").decode()


@pytest.fixture
def notebook():
    """A notebook of three cells, executed: a title, parameters, a picture."""
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("name = 'default'", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "show()", outputs=[nbformat.v4.new_output("display_data", {"image/png": PNG})]
        ),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_parameters_come_after_the_defaults_and_are_data(notebook):
    value = 'it\'s "a"\n{name}'
    set_parameters(notebook, {"name": value})
    scope = {}
    for cell in notebook.cells[1:3]:
        exec(cell.source, scope)
    assert scope["name"] == value


def test_a_secret_reaches_the_kernel_and_not_the_page(notebook, monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "PW": "s3cret"})
    set_parameters(notebook, {"name": "https://me:${oc.env:PW}@host"})
    scope = {}
    exec(notebook.cells[2].source, scope)
    assert scope["name"] == "https://me:s3cret@host"
    assert "s3cret" not in as_page(notebook)


def test_the_page_does_not_show_the_path_of_the_tracking_server(notebook, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:4321/a-secret-path")
    monkeypatch.setenv("SERVED_STORE", "sqlite")
    shown = nbformat.v4.new_output("stream", text="http://127.0.0.1:4321/a-secret-path/#/runs")
    notebook.cells[2].outputs.append(shown)
    assert "http://127.0.0.1:4321/***/#/runs" in (page := as_page(notebook))
    assert "a-secret-path" not in page


def test_a_notebook_without_parameters_is_refused(notebook):
    del notebook.cells[1]
    with pytest.raises(UserError, match='no cell tagged "parameters"'):
        set_parameters(notebook, {})


def test_the_page_needs_no_network(notebook):
    page = as_page(notebook)
    assert "Title" in page and PNG in page
    assert "cdnjs" not in page


def test_the_page_shows_the_values_used_and_no_defaults(notebook):
    set_parameters(notebook, {"name": "given"})
    _, _, body = as_page(notebook).partition("<body")
    assert "given" in body and "show" in body
    assert "default" not in body
    given, show = body.index("given"), body.index("show")
    folded = [body.index("<details>"), body.index("</details>")]
    assert given < folded[0] < show < folded[1]  # all code but the parameters is folded
    assert "jp-InputPrompt" not in body  # the numbers of the cells
    assert len(notebook.cells) == 4  # what was executed is as it was


def test_figures_are_named_by_the_heading_above_them(notebook):
    picture = notebook.cells[2]
    text = nbformat.v4.new_markdown_cell("No heading")
    heading = nbformat.v4.new_markdown_cell("## Fuel `comb_mpg`, by class/year\n\nText")
    notebook.cells += [text, picture, heading, picture]
    assert figures(notebook) == {
        "01_title.png": b"a picture",
        "02_title.png": b"a picture",
        "03_fuel_comb_mpg_by_class_year.png": b"a picture",
    }


def test_a_figure_without_a_heading_has_a_name(notebook):
    del notebook.cells[0]
    assert [*figures(notebook)] == ["01_figure.png"]


@pytest.mark.slow
def test_a_kernel_that_is_killed_is_told(tmp_path, monkeypatch):
    file = tmp_path / "run.ipynb"
    kill = nbformat.v4.new_code_cell("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    parameters = nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, kill]), file)
    for publish in "log_text", "log_artifacts":
        monkeypatch.setattr(f"_utils.component.notebook.mlflow.{publish}", lambda *_: None)
    monkeypatch.setenv("MLFLOW_RUN_ID", "run")
    with pytest.raises(UserError, match=r"run.ipynb: the kernel, .* was killed \(Kernel died\)"):
        go(Namespace(notebook=file, parameters={}))
