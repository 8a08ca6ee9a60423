"""The page of a sweep: the best job, how the values that were tried did, and all jobs by rank."""

import math
from collections.abc import Iterator
from html import escape

import pandas as pd
from mlflow.entities import Run
from omegaconf import DictConfig

from _utils import pages
from _utils.masking import without_secrets
from _utils.pipeline.runs import ERROR
from _utils.pipeline.summary import page_of
from _utils.sweeps.drawing import Dot, panel, parallel
from _utils.variables import recorded

PAGE = "sweep.html"
LEGEND = "Large: the best job. Ring: the current config. Point at a dot or a line for its values."
CURRENT = "current config"  # status of the finished run that has the config's own values


def as_page(
    table: pd.DataFrame, jobs: list[Run], objective: DictConfig, own: dict[str, str], command: str
) -> str:
    """The page of the result of `ranked`, with the current config's own values.

    The command trains the best job again; it is empty if there is none.
    """
    keys = ["rank", *map(str, table)]
    names = zip(short_names(keys), keys, strict=True)
    heads = {name: key if key != name else "" for name, key in names}
    table = table.set_axis([*heads][1:], axis=1)
    *parameters, metric, _, _ = table
    better = "lower" if objective.direction == "minimize" else "higher"
    headline = f"No job has the metric {objective.metric}, by which jobs rank"
    if command:
        value = f"{table[metric].iloc[0]:.4g} ({better} is better)"
        best = ", ".join(f"{name}={table[name].iloc[0] or 'null'}" for name in parameters)
        headline = f"{objective.metric} {value}" + (f" with {best}" if best else "")
        headline += ", the current config" if table.iloc[0, -2] == CURRENT else ""
    failed = [job for job in jobs if job.info.status != "FINISHED"]
    dots = [*dots_of(table, parameters, metric)]
    return pages.page(
        f"Sweep of {len(jobs)} jobs",
        headline,
        pages.section("To train the best again", pages.command(command) if command else ""),
        pages.section(
            "Which values do well?",
            *(panel(dots, name, metric) for name in parameters if dots),
            parallel(dots, parameters, metric) if dots and len(parameters) > 1 else "",
            pages.text(LEGEND) if dots and parameters else "",
        ),
        pages.section("Jobs by rank", ranking(table, heads, jobs, recorded([*own.values()]))),
        pages.section("Why jobs failed", *map(reason, failed)),
        tone=pages.GOOD if command else pages.BAD,
    )


def reason(job: Run) -> str:
    """Why a job failed, as HTML."""
    says = without_secrets(job.data.tags.get(ERROR, "Its process was killed."))
    return pages.heading(job.info.run_name) + pages.command(says)


def short_names(keys: list[str]) -> list[str]:
    """The last parts of the keys, or the keys if two have the same last part."""
    last = [key.rpartition(".")[2] for key in keys]
    return last if len({*last}) == len(last) else keys


def dots_of(table: pd.DataFrame, parameters: list[str], metric: str) -> Iterator[Dot]:
    """The jobs that have a value, by rank, for the figures."""
    for rank, row in table[table[metric].notna()].iterrows():
        kind = "best " * (rank == 1) + "current" * (row.iloc[-2] == CURRENT) or "job"
        values = {name: str(row[name]) or "null" for name in parameters}
        shown = ", ".join(f"{name}={value}" for name, value in values.items())
        yield Dot(values, row[metric], kind, f"{rank}: {row[metric]:.6g} with {shown}")


def ranking(table: pd.DataFrame, heads: dict[str, str], jobs: list[Run], own: list[str]) -> str:
    """All jobs as an HTML table, and the current config, also if it has no result."""
    rows, is_current = [], False
    for rank, row in table.iterrows():
        *values, value, status, run_id = row
        is_current |= status == CURRENT
        is_best = rank == 1 and not math.isnan(value)
        rows.append(
            [
                f'<b class="good">{rank}&nbsp;(best)</b>' if is_best else str(rank),
                *(escape(str(each) or "null") for each in values),
                "" if math.isnan(value) else f"{value:.6g}",
                f"<b>{CURRENT}</b>" if status == CURRENT else escape(status),
                pages.link(run_id[:8], page_of(jobs[0].info.experiment_id, run_id)),
            ]
        )
    if not is_current:
        values = [escape(each or "null") for each in own]
        rows.append(["", *values, "", f"<b>{CURRENT}</b>, without a result", ""])
    return pages.table(heads, rows)
