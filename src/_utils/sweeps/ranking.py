"""The result of a sweep: its jobs by rank, a page of them, and the best one's command."""

import json
import math
from collections.abc import Iterable
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run, RunInfo
from omegaconf import DictConfig, OmegaConf
from rich.table import Column, Table

from _utils.internals import PARENT_RUN_ID
from _utils.pipeline.record import OVERRIDES, VALUES, digest_of_values
from _utils.pipeline.report import command_with, console
from _utils.sweeps.jobs import JOB
from _utils.sweeps.page import CURRENT, PAGE, as_page, short_names
from _utils.variables import as_text

SHOWN = 10  # jobs in the table on the terminal


def jobs_of(sweep: RunInfo) -> list[Run]:
    """The runs of a sweep's jobs, the oldest first; of a job that SLURM ran again the last one."""
    of_sweep = f"tags.`{PARENT_RUN_ID}` = '{sweep.run_id}'"
    newest_first = mlflow.search_runs([sweep.experiment_id], of_sweep, output_format="list")
    jobs = {run.data.tags.get(JOB, run.info.run_id): run for run in reversed(newest_first)}
    return sorted(jobs.values(), key=lambda run: run.info.start_time)


def value_of_job(job: Run, metric: str) -> float:
    """What a job ranks by; NaN if it failed, or has no number that could be compared."""
    value = job.data.metrics.get(metric, math.nan) if job.info.status == "FINISHED" else math.nan
    return value if math.isfinite(value) else math.nan


def publish_ranking(jobs: list[Run], config: DictConfig) -> None:
    """Show the jobs by rank; table, page and the best job's overrides go to the sweep's run.

    The config is the one without what is swept; its newest result is compared with the jobs.
    """
    metric = str(config.main.objective.metric)
    current = result_of(config, jobs, metric) if jobs else None
    table = ranked(rows_of(jobs, current, config), metric, config.main.objective.direction)
    mlflow.log_text(table.to_csv(), "jobs.csv")
    own, command = own_values(config, [*table.columns[:-3]]), ""
    if table[metric].notna().any():
        best = MlflowClient().get_run(table["run"].iloc[0])
        overrides = json.loads(best.data.tags[OVERRIDES])
        command = command_with(overrides)
    mlflow.log_text(as_page(table, jobs, config.main.objective, own, command), PAGE)
    if not command:
        message = f"No job has the metric '{metric}' of main.objective.metric, by which jobs rank."
        console.print(message, markup=False)
        return
    print_table(table)
    text = f"# The best of {len(jobs)} jobs. To train it again:\n#   {command}\n"
    mlflow.log_text(text + yaml.safe_dump(overrides), "best.yaml")
    if not current:
        message = "The current config has no result here to compare with; without -m it gets one."
        console.print(message, style="dim", highlight=False)
    elif best.info.run_id == current.info.run_id:
        console.print("The current config is the best.", highlight=False)
    console.print(f"Train the best again: {command}", markup=False, highlight=False)


def rows_of(jobs: list[Run], current: Run | None, config: DictConfig) -> list[dict[str, Any]]:
    """A row for each job and for the result of the current config, which may be one of the jobs."""
    metric = str(config.main.objective.metric)
    keys = dict.fromkeys(key for job in jobs for key in job.data.params)
    swept = {key for key in keys if len({job.data.params.get(key) for job in jobs}) > 1}
    # Of `main`, which holds no value of the model, only what is swept
    own = own_values(config, (key for key in keys if key in swept or not key.startswith("main.")))
    runs = {run.info.run_id: run for run in [*jobs, *([current] if current else [])]}
    return [
        (own if run is current else {key: run.data.params.get(key) for key in own})
        | {
            metric: value_of_job(run, metric),
            "status": CURRENT if run is current else run.info.status,
            "run": run_id,
        }
        for run_id, run in runs.items()
    ]


def own_values(config: DictConfig, keys: Iterable[str]) -> dict[str, str]:
    """The values of the current config, as text."""
    plain = OmegaConf.create({"values": {key: OmegaConf.select(config, key) for key in keys}})
    return {key: as_text(each) for key, each in OmegaConf.to_container(plain)["values"].items()}


def result_of(config: DictConfig, jobs: list[Run], metric: str) -> Run | None:
    """The newest run that had the values of this config, the metric, and the inputs of the jobs.

    What a run made of other data, such as those of a retraining, is no result to compare with.
    """
    runs = MlflowClient().search_runs(
        [jobs[0].info.experiment_id],
        f"tags.{VALUES} = '{digest_of_values(config)}' and attributes.status = 'FINISHED'",
    )
    inputs = {inputs_of(job, metric) for job in (jobs[0], jobs[-1])}  # two, if they are swept
    like = (run for run in runs if math.isfinite(value_of_job(run, metric)))
    return next((run for run in like if len(inputs) > 1 or inputs_of(run, metric) in inputs), None)


def inputs_of(pipeline: Run, metric: str) -> str:
    """The artifacts that the component with this metric used, in a pipeline's run."""
    child = f"tags.`{PARENT_RUN_ID}` = '{pipeline.info.run_id}'"
    child += f" and attributes.run_name = '{metric.partition('.')[0]}'"
    found = mlflow.search_runs([pipeline.info.experiment_id], child, output_format="list")
    tags = found[0].data.tags.items() if found else ()
    return str(sorted(tag for tag in tags if tag[0].startswith("input.")))


def ranked(rows: list[dict[str, Any]], metric: str, direction: str) -> pd.DataFrame:
    """The rows by rank, those without a value last; equals stay in their order.

    Columns are the parameters in which jobs differ, the metric, status and run.
    """
    result = [metric, "status", "run"]
    table = pd.DataFrame(rows, columns=None if rows else result)
    parameters = table.drop(columns=result)
    swept = parameters.columns[parameters.nunique(dropna=False) > 1]
    table = table.sort_values(metric, ascending=direction == "minimize", kind="stable")
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table[[*swept, *result]]


def print_table(table: pd.DataFrame) -> None:
    """Print the first rows, and that of the current config."""
    names = [Column(name, overflow="fold") for name in short_names([*map(str, table)])]
    shown = Table("rank", *names, title="Sweep")
    for rank, row in table[(table.index <= SHOWN) | (table["status"] == CURRENT)].iterrows():
        cells = [f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row]
        shown.add_row(str(rank), *cells[:-1], cells[-1][:8])
    console.print(shown)
