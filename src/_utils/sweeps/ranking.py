"""What a sweep comes to: its jobs by rank, a figure of them, and the best one's overrides."""

import json
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.entities import Run
from rich.table import Table

from _utils.command_line import as_line
from _utils.pipeline.report import console
from _utils.pipeline.tracking import OVERRIDES

SHOWN = 10  # jobs in the table on the terminal


def publish_answer(jobs: list[Run], metric: str, direction: str) -> None:
    """Show the jobs by rank; the whole table, a figure and the best job go to the sweep's run."""
    table = ranked(jobs, metric, direction)
    mlflow.log_text(table.to_csv(), "jobs.csv")
    if metric not in table:
        told = f"No job has the metric '{metric}' of main.objective.metric, by which jobs rank."
        console.print(told, markup=False)
        return
    print_table(table)
    swept = list(table.columns[: table.columns.get_loc(metric)])
    if swept:
        mlflow.log_figure(figure(table, swept, metric), "jobs.png")
    best = next(job for job in jobs if job.info.run_id == table["run"].iloc[0])
    overrides = json.loads(best.data.tags[OVERRIDES])
    command = as_line(["python", "main.py", *overrides])
    text = f"# The best of {len(jobs)} jobs. This trains it again:\n#   {command}\n"
    mlflow.log_text(text + yaml.safe_dump(overrides), "best.yaml")
    console.print(f"The best again: {command}", markup=False, highlight=False)


def ranked(jobs: list[Run], metric: str, direction: str) -> pd.DataFrame:
    """A row for each job, the best first and those without the metric last.

    Columns are the parameters in which jobs differ, the metric if any job has it, status, and run;
    the index is the rank.
    """
    parameters = pd.DataFrame([job.data.params for job in jobs])
    table = parameters.loc[:, parameters.nunique(dropna=False) > 1].copy()
    values = [job.data.metrics.get(metric) for job in jobs]
    if any(value is not None for value in values):
        table[metric] = values
    table["status"] = [job.info.status for job in jobs]
    table["run"] = [job.info.run_id for job in jobs]
    if metric in table:
        table = table.sort_values(metric, ascending=direction == "minimize", kind="stable")
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def print_table(table: pd.DataFrame) -> None:
    """Print the first rows."""
    shown = Table("rank", *(column.rpartition(".")[-1] for column in table), title="Sweep")
    for rank, row in table.head(SHOWN).iterrows():
        cells = [f"{cell:.4g}" if isinstance(cell, float) else str(cell)[:8] for cell in row]
        shown.add_row(str(rank), *cells)
    console.print(shown)


def figure(table: pd.DataFrame, swept: list[str], metric: str) -> Any:
    """The metric against each parameter that was swept."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    size = (4 * len(swept), 4)
    drawn, axes = pyplot.subplots(1, len(swept), sharey=True, squeeze=False, figsize=size)
    for axis, parameter in zip(axes[0], swept, strict=True):
        numbers = pd.to_numeric(table[parameter], errors="coerce")
        axis.scatter(table[parameter] if numbers.isna().any() else numbers, table[metric])
        axis.set_xlabel(parameter.rpartition(".")[-1])
    axes[0][0].set_ylabel(metric)
    drawn.tight_layout()
    return drawn
