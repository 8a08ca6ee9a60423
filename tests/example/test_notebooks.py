"""Notebooks of ideas: they are without outputs, and run after the pipeline did."""

import nbformat
import pytest
from conftest import ROOT, type_in

NOTEBOOKS = sorted([*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("src/*/*.ipynb")])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_they_are_kept_without_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert not [cell for cell in code if cell.outputs or cell.execution_count]


@pytest.mark.slow
def test_the_idea_runs_on_the_data_of_the_pipeline(project, store):
    command = "jupyter execute notebooks/eda/twins.ipynb"
    ran = type_in(project, f"{command} --output={project}/outputs/twins.ipynb")
    assert ran.returncode == 0, ran.stdout
    cells = nbformat.read(project / "outputs/twins.ipynb", as_version=4).cells
    printed = "".join(
        output.get("text", "") for cell in cells for output in cell.get("outputs", [])
    )
    assert "rows repeat another in all that a model sees" in printed
    (run,) = store.runs(filter_string="attributes.run_name = 'notebooks/eda/twins'")
    assert run.info.status == "FINISHED"
    assert run.data.tags["input.raw_data.parquet"]
