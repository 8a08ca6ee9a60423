"""Notebooks of ideas: they are without outputs, and run after the pipeline did."""

import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, type_in

from _utils.tabular.convert import to_parquet

NOTEBOOKS = sorted([*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("src/*/*.ipynb")])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_they_are_kept_without_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert not [cell for cell in code if cell.outputs or cell.execution_count]


CONTRACT = "resources/data/fuel_economy.contract.yaml"
RAW = pd.read_csv(ROOT / "resources/data/epa_fuel_economy_2012.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    "cars",
    [
        RAW.head(50).astype("object").fillna("x"),
        RAW.head(1),
        RAW.head(5).assign(**dict.fromkeys(RAW)),
        pd.DataFrame(1, index=range(5), columns=RAW.columns),
        RAW.replace({"comb_mpg": {20: "NA"}, "engine_displacement": {2.0: np.inf}}).head(200),
        RAW.head(5).assign(**{"price $_$": None, "class": "$\\x$"}),
    ],
    ids=["no null", "one row", "only nulls", "constant", "NA and inf", "dollars"],
)
@pytest.mark.parametrize("target", ["comb_mpg", "car_truck"])
@pytest.mark.filterwarnings("ignore")
def test_the_first_look_at_any_data(cars, target, tmp_path, monkeypatch):
    from matplotlib import pyplot as plt

    cars.to_csv(tmp_path / "x.csv", index=False)
    to_parquet(tmp_path / "x.csv", tmp_path / "x.parquet")
    said = yaml.safe_load((ROOT / CONTRACT).read_text())
    task = {"number": "regression", "category": "classification"}[said["columns"][target]["kind"]]
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(said | {"target": target, "task": task}))
    places = {"contract.yaml:latest": "contract.yaml", "raw_data.parquet:latest": "x.parquet"}
    monkeypatch.setattr("_utils.artifacts.use_artifact", lambda name: tmp_path / places[name])
    monkeypatch.setattr(plt, "show", lambda: [plt.gcf().canvas.draw(), plt.close("all")])
    monkeypatch.setattr(sys, "path", [*sys.path])
    shell = {}
    for cell in nbformat.read(ROOT / "src/eda/eda.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, shell)


@pytest.mark.slow
def test_the_idea_runs_on_the_data_of_the_pipeline(project, store):
    command = "jupyter execute notebooks/eda/twins.ipynb"
    ran = type_in(project, f"{command} --output={project}/outputs/twins.ipynb")
    assert ran.returncode == 0, ran.stdout
    cells = nbformat.read(project / "outputs/twins.ipynb", as_version=4).cells
    printed = "".join(
        output.get("text", "") for cell in cells for output in cell.get("outputs", [])
    )
    assert "rows repeat features and target of another" in printed
    (run,) = store.runs(filter_string="attributes.run_name = 'notebooks/eda/twins'")
    assert run.info.status == "FINISHED"
    assert run.data.tags["input.raw_data.parquet"]
