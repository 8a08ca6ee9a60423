"""The line that shows how far a sweep is, from what its jobs have left in MLflow."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from mlflow.entities import Run, RunInfo
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig

from _utils.pipeline.report import Terminal
from _utils.sweeps import slurm
from _utils.sweeps.ranking import jobs_of, value_of_job

INTERVAL = 3  # seconds between two looks
LINES = 10  # printed in the course of a sweep where there is no terminal


@contextmanager
def progress_shown(sweep: RunInfo, planned: int, config: DictConfig) -> Iterator[None]:
    """Within this, a thread shows how far the sweep is."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(sweep, planned, config, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(sweep: RunInfo, planned: int, config: DictConfig, stop: threading.Event) -> None:
    start, printed = time.monotonic(), (0, "")
    with Terminal(soft_wrap=True, highlight=False).status("starting") as status:
        while not stop.wait(INTERVAL):
            with suppress(MlflowException):  # the store is asked again the next time
                jobs = jobs_of(sweep)
                line = progress(jobs, planned, config.main.objective, time.monotonic() - start)
                waiting = slurm.reasons_for_waiting(slurm.arrays_of(config.hydra))
                status.update(f"{line}{waiting}")
                ended = sum(job.info.status != "RUNNING" for job in jobs)
                news = (LINES * ended // planned, waiting)
                if not status.console.is_terminal and news != printed:
                    printed = news
                    status.console.print(f"{line}{waiting}")


def progress(jobs: list[Run], planned: int, objective: DictConfig, seconds: float) -> str:
    """The line: what is done, at work and failed, the best value so far, and the time left."""
    ended = [job for job in jobs if job.info.status != "RUNNING"]
    failed = sum(job.info.status != "FINISHED" for job in ended)
    parts = [
        f"{len(ended)} of {planned} jobs done",
        f"{len(jobs) - len(ended)} running",
        f"[red]{failed} failed[/]" if failed else "0 failed",
    ]
    values = [value_of_job(job, objective.metric) for job in ended]
    if values := [value for value in values if not math.isnan(value)]:
        best = min(values) if objective.direction == "minimize" else max(values)
        parts.append(f"best {objective.metric.rpartition('.')[-1]} {best:.4g}")
    if ended:
        left = seconds / len(ended) * (planned - len(ended))
        parts.append(f"{timedelta(seconds=round(left))} left")
    return ", ".join(parts)
