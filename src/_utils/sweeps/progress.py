"""The line that tells how far a sweep is, from what its jobs have left in MLflow."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count

from mlflow import MlflowClient
from mlflow.entities import Run, RunInfo
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import DictConfig

from _utils.artifacts.index import all_pages
from _utils.pipeline.report import Terminal
from _utils.pipeline.runs import job_of
from _utils.sweeps.ranking import value_of_job

INTERVAL = 2  # seconds
SELDOM = 10  # times that MLflow is asked for each time that a cluster is
LINES = 10  # printed in the course of a sweep where there is no terminal


class Progress:
    """Watches a sweep, in a thread of its own, until it is stopped."""

    def __init__(
        self,
        sweep: RunInfo,
        planned: int,
        objective: DictConfig,
        why_waiting: Callable[[], list[str]] = list,
    ):
        """Start to watch; `why_waiting` gives the reasons for which jobs are not started."""
        self._sweep, self._planned, self._objective = sweep, planned, objective
        self._why_waiting, self._told = why_waiting, set[str]()
        self._start = time.time()
        self._ended: dict[str, Run] = {}  # by job
        self._running = 0
        # Another handle of the terminal, for a job in this process redirects the first
        terminal = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        self._console = Terminal(file=terminal, soft_wrap=True, highlight=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the line away."""
        self._stop.set()
        self._thread.join()
        with suppress(OSError):  # nobody reads it
            self._console.file.close()

    def _watch(self) -> None:
        printed, looks = 0, count()
        with self._console.status("starting") as line:
            while not self._stop.wait(INTERVAL):
                for reason in self._why_waiting() if next(looks) % SELDOM == 0 else []:
                    if reason not in self._told:
                        self._told.add(reason)
                        self._console.print(f"Jobs wait in the queue: {reason}", markup=False)
                with suppress(MlflowException):  # asked again the next time
                    self._look()
                line.update(self.text())
                tenths = LINES * len(self._ended) // self._planned
                if not self._console.is_terminal and tenths > printed:
                    printed = tenths
                    self._console.print(self.text())

    def _look(self) -> None:
        """Fetch the jobs that have ended since the last time."""
        since = max((run.info.end_time for run in self._ended.values()), default=1)
        of_sweep = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self._sweep.run_id}'"
        search, where = MlflowClient().search_runs, [self._sweep.experiment_id]
        ended = all_pages(search, where, f"{of_sweep} and attributes.end_time >= {since}")
        running = all_pages(search, where, f"{of_sweep} and attributes.status = 'RUNNING'")
        # The newest first: so the last attempt at a job is the one that stays
        self._ended |= {job_of(run): run for run in reversed([*ended])}
        self._running = len([*running])

    def text(self) -> str:
        """What is done, at work and failed, the best value so far, and the time left."""
        done = len(self._ended)
        failed = [run for run in self._ended.values() if run.info.status != "FINISHED"]
        told = [f"{done} of {self._planned} jobs done"]
        told += [f"{self._running} running"]
        told += [f"[red]{len(failed)} failed[/]" if failed else "0 failed"]
        metric = self._objective.metric
        values = [value_of_job(run, metric) for run in self._ended.values()]
        if values := [value for value in values if not math.isnan(value)]:
            best = min(values) if self._objective.direction == "minimize" else max(values)
            told.append(f"best {metric.rpartition('.')[-1]} {best:.4g}")
        if done:
            each = (time.time() - self._start) / done
            told.append(f"{timedelta(seconds=round(each * (self._planned - done)))} left")
        return ", ".join(told)
