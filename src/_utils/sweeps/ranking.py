"""What a sweep comes to: its jobs by rank, a figure of them, and the best one's overrides."""

import json
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunData, RunTag
from omegaconf import DictConfig, OmegaConf
from rich.table import Column, Table

from _utils.command_line import as_line
from _utils.pipeline.plan import as_text
from _utils.pipeline.report import console
from _utils.pipeline.runs import OVERRIDES, VALUES, digest_of_values

SHOWN = 10  # jobs in the table on the terminal
CURRENT = "current config"  # status of the finished run that has the config's own values


def publish_answer(jobs: list[Run], objective: DictConfig, config: DictConfig) -> None:
    """Show the jobs by rank; the whole table, a figure and the best job go to the sweep's run.

    Args:
        jobs: The runs of the sweep's jobs.
        objective: `main.objective` of the config.
        config: The config without what is swept; its newest result in the experiment is compared.
    """
    metric, number = objective.metric, len(jobs)
    jobs = sorted(jobs, key=lambda job: job.info.start_time)
    current = result_of(config, jobs, metric) if jobs else None
    if current and current.info.run_id not in {job.info.run_id for job in jobs}:
        keys = dict.fromkeys(key for job in jobs for key in job.data.params)
        own = [Param(key, as_text(OmegaConf.select(config, key))) for key in keys]
        metrics = [Metric(key, value, 0, 0) for key, value in current.data.metrics.items()]
        tags = [RunTag(key, value) for key, value in current.data.tags.items()]
        jobs.append(Run(current.info, RunData(metrics, own, tags)))
    table = ranked(jobs, metric, objective.direction, current.info.run_id if current else "")
    mlflow.log_text(table.to_csv(), "jobs.csv")
    if metric not in table or not np.isfinite(table[metric].iloc[0]):
        message = f"No job has the metric '{metric}' of main.objective.metric, by which jobs rank."
        console.print(message, markup=False)
        return
    print_table(table)
    swept = list(table.columns[: table.columns.get_loc(metric)])
    if swept:
        mlflow.log_figure(figure(table, swept, metric), "jobs.png")
    best = next(job for job in jobs if job.info.run_id == table["run"].iloc[0])
    overrides = json.loads(best.data.tags[OVERRIDES])
    command = as_line(["python", "main.py", *overrides])
    text = f"# The best of {number} jobs. This trains it again:\n#   {command}\n"
    mlflow.log_text(text + yaml.safe_dump(overrides), "best.yaml")
    if not current:
        message = "The current config has no result here to compare with; without -m it gets one."
        console.print(message, style="dim", highlight=False)
    elif best.info.run_id == current.info.run_id:
        console.print("The current config is the best.", highlight=False)
    console.print(f"The best again: {command}", markup=False, highlight=False)


def result_of(config: DictConfig, jobs: list[Run], metric: str) -> Run | None:
    """The newest run in the jobs' experiment that had the values of this config, and the metric."""
    runs = MlflowClient().search_runs(
        [job.info.experiment_id for job in jobs[:1]],
        f"tags.{VALUES} = '{digest_of_values(config)}' and attributes.status = 'FINISHED'",
    )
    return next((run for run in runs if np.isfinite(value_of_job(run, metric))), None)


def value_of_job(job: Run, metric: str) -> float:
    """What a job ranks by; NaN if it failed, or has no number that could be compared."""
    value = job.data.metrics.get(metric, np.nan) if job.info.status == "FINISHED" else np.nan
    return value if np.isfinite(value) else np.nan


def ranked(jobs: list[Run], metric: str, direction: str, current: str = "") -> pd.DataFrame:
    """A row for each job, the best first and those that failed or have no value last.

    Columns are the parameters in which jobs differ, the metric if any job has it, status, and run;
    the index is the rank. Equals are in the order in which they were started.

    Args:
        jobs: The runs.
        metric: What they rank by.
        direction: minimize or maximize.
        current: Id of the run that has the config's own values.
    """
    parameters = pd.DataFrame([job.data.params for job in jobs])
    table = parameters.loc[:, parameters.nunique(dropna=False) > 1].copy()
    values = [value_of_job(job, metric) for job in jobs]
    if any(metric in job.data.metrics for job in jobs):
        table[metric] = values
    of_current = {current: CURRENT}
    table["status"] = [of_current.get(job.info.run_id, job.info.status) for job in jobs]
    table["run"] = [job.info.run_id for job in jobs]
    if metric in table:
        table = table.sort_values(metric, ascending=direction == "minimize", kind="stable")
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def print_table(table: pd.DataFrame) -> None:
    """Print the first rows, and that of the current config."""
    short = [column.rpartition(".")[-1] for column in table]
    names = [
        name if short.count(name) == 1 else column
        for name, column in zip(short, table, strict=True)
    ]
    shown = Table("rank", *(Column(name, overflow="fold") for name in names), title="Sweep")
    is_shown = (table.index <= SHOWN) | (table["status"] == CURRENT)
    for rank, row in table[is_shown].iterrows():
        cells = [f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row]
        shown.add_row(str(rank), *cells[:-1], cells[-1][:8])
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
