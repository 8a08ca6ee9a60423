"""A sweep (`-m`): the run that all its jobs are children of, and what they come to."""

import shlex
import sys
from typing import Any

import mlflow
import pandas as pd
import yaml
from hydra.experimental.callback import Callback
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import DictConfig
from rich.table import Table

from _utils.pipeline.report import console, print_ui_hint
from _utils.pipeline.tracking import ERROR, serve_tracking_store, start_top_run

SHOWN = 10  # jobs in the table on the terminal


class SweepRun(Callback):
    """Hydra calls this before the first job of a sweep and after the last."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start the run; the jobs find it as the active one. Plans need none."""
        if not config.main.plan:
            start_top_run(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Rank the jobs, say which failed and why, and exit with status 1 if any did."""
        if config.main.plan:
            return
        sweep = mlflow.active_run().info
        jobs = jobs_of(sweep.experiment_id, sweep.run_id)
        failed = [job for job in jobs if job.info.status != "FINISHED"]
        console.print(f"\nSweep: {len(jobs)} jobs, {len(failed)} failed", highlight=False)
        publish_answer(jobs, config.main.objective.metric, config.main.objective.direction)
        for job in failed:
            why = job.data.tags.get(ERROR, job.info.status)
            line = f"  failed: {job.info.run_name}: {why}"
            console.print(line, style="red", markup=False, highlight=False)
        mlflow.end_run("FAILED" if failed else "FINISHED")
        print_ui_hint(serve_tracking_store())
        if failed:
            sys.exit(1)


def jobs_of(experiment_id: str, sweep_id: str) -> list[Run]:
    """The runs of a sweep's jobs."""
    of_sweep = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{sweep_id}'"
    return mlflow.search_runs([experiment_id], of_sweep, output_format="list")


def publish_answer(jobs: list[Run], metric: str, direction: str) -> None:
    """Show the jobs by rank; the whole table, a figure and the best job go to the sweep's run."""
    table = ranked(jobs, metric, direction)
    mlflow.log_text(table.to_csv(), "jobs.csv")
    if metric not in table:
        told = f"No job has the metric '{metric}': main.objective.metric says by which they rank."
        console.print(told, markup=False)
        return
    print_table(table)
    swept = list(table.columns[: table.columns.get_loc(metric)])
    if swept:
        mlflow.log_figure(figure(table, swept, metric), "jobs.png")
    best = next(job for job in jobs if job.info.run_id == table["run"].iloc[0])
    overrides = [f"{key}={value}" for key, value in best.data.params.items()]
    command = f"python main.py {shlex.join(overrides)}"
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
