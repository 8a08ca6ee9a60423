"""A sweep (`-m`): the run that all its jobs are children of, from its start to its end.

The jobs run in other processes, which may be on other machines: what they have to know of the sweep
is in variables of the environment, and what they come to is in MLflow.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from joblib import cpu_count, effective_n_jobs
from joblib.externals.loky.process_executor import TerminatedWorkerError
from mlflow.entities import Run, RunInfo
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from _utils.command_line import as_line
from _utils.environment import tell, told
from _utils.errors import UserError, explain
from _utils.pipeline.dead_runs import close_below
from _utils.pipeline.processes import typed_command
from _utils.pipeline.report import console, print_ui_hint
from _utils.pipeline.runs import (
    ERROR,
    SWEEP,
    children_of,
    faults_told,
    job_of,
    kill_runs,
    start_top_run,
)
from _utils.pipeline.server import serve_tracking_store
from _utils.sweeps import cluster
from _utils.sweeps.progress import Progress
from _utils.sweeps.ranking import publish_answer

TOLD = 3  # failed jobs whose reason is told in full


class SweepRun(Callback):
    """Hydra calls this before the first job of a sweep and after the last.

    It goes with each job into other processes, so what it knows is elsewhere.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start the run that the jobs are children of. Plans need none."""
        with faults_told():  # Hydra would go on after an error
            self._start(config)

    def _start(self, config: DictConfig) -> None:
        jobs = number_of_jobs(config)
        share_cores(config.hydra, 1 if config.main.plan else jobs)
        tell("HYDRA_FULL_ERROR", "1")  # what a launcher raises comes to main.py
        places = [str(Path(__file__).parents[2]), told("PYTHONPATH")]
        tell("PYTHONPATH", os.pathsep.join(filter(None, places)))  # jobs need _utils
        if not config.main.plan:
            cluster.check_tracking(config.hydra.runtime.choices["hydra/launcher"])
            run = start_top_run(config).info
            tell(SWEEP, run.run_id)
            cluster.pass_on_environment(config.hydra.launcher)
            cluster.warn_in_time(config.hydra.launcher)
            Sweep.at_work = Sweep(run, config, jobs)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell what the sweep comes to; exit with status 1 if a job failed."""
        if Sweep.at_work:
            Sweep.at_work.end()


class Sweep:
    """The sweep that this process leads."""

    at_work: Sweep | None = None

    def __init__(self, run: RunInfo, config: DictConfig, planned: int):
        self.run, self.config, self.hydra, self.planned = run, config, config.hydra, planned
        self.objective = config.main.objective
        self.progress = Progress(
            run, planned, self.objective, lambda: cluster.why_waiting(self.arrays)
        )

    @property
    def arrays(self) -> list[str]:
        """What of it SLURM has."""
        return cluster.submitted_to_slurm(self.hydra)

    def end(self, broken: str = "") -> None:
        """Rank the jobs, say which failed and why, and exit with status 1 if any did.

        Args:
            broken: Why jobs are missing, if the sweep ended before its time.
        """
        self.progress.stop()
        cluster.cancel_jobs(self.arrays)  # SLURM may have put some into the queue again
        close_below(self.run.run_id)  # those that are open have lost their process
        attempts = children_of(self.run)  # the newest first
        jobs = [*{job_of(run): run for run in reversed(attempts)}.values()][::-1]
        failed = [job for job in jobs if job.info.status != "FINISHED"]
        if len(jobs) == self.planned and not failed:
            broken = ""  # SLURM has started again what it had ended
        missing = f" of {self.planned}" if broken else ""
        console.print(f"\nSweep: {len(jobs)}{missing} jobs, {len(failed)} failed", highlight=False)
        publish_answer(jobs, self.objective, self.config)
        print_failures(failed)
        if broken:
            console.print(broken, style="red", markup=False, highlight=False)
        mlflow.end_run("FAILED" if failed or broken else "FINISHED")
        print_ui_hint(serve_tracking_store())
        if failed or broken:
            sys.exit(1)


def number_of_jobs(config: DictConfig) -> int:
    """How many jobs the sweep is going to have.

    Raises:
        UserError: Hydra cannot read it.
    """
    sweeper = config.hydra.sweeper
    if "n_trials" in sweeper:  # an optimiser
        warnings.filterwarnings("ignore", "(?s).*has been deprecated in v", FutureWarning)
        return sweeper.n_trials
    lists = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*lists, *config.hydra.overrides.task])
    try:
        return len(BasicSweeper.split_arguments(overrides, max_batch_size=None)[0])
    except OmegaConfBaseException as error:  # how Hydra fails at a list with a range in it
        swept = ", ".join(each.input_line for each in overrides if each.is_sweep_override())
        raise UserError(
            f"The sweep {swept} cannot be read: write values out that stand beside a range()."
        ) from error


def share_cores(hydra: DictConfig, jobs: int) -> None:
    """Let as many jobs run side by side as there are cores, and each take its share of them.

    Raises:
        UserError: None could run.
    """
    launcher, sweeper = hydra.launcher, hydra.sweeper
    if launcher.get("n_jobs") == 0:
        raise UserError("hydra.launcher.n_jobs=0: write how many jobs, or -1 for one on each core.")
    if "n_jobs" in launcher:
        with open_dict(launcher):
            at_once = (effective_n_jobs(launcher.n_jobs), jobs, sweeper.get("n_jobs", jobs))
            launcher.n_jobs = min(at_once)
        share = max(1, cpu_count() // launcher.n_jobs)
    elif "cpus_per_task" in launcher:
        share = launcher.cpus_per_task or 1
    else:
        return
    # What OpenMP, and scikit-learn with n_jobs=-1, take for the number of cores
    for name in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        tell(name, str(share))


def print_failures(failed: list[Run]) -> None:
    """Say which jobs failed, and of the first ones why."""
    for number, job in enumerate(failed):
        why = job.data.tags.get(ERROR, "its process was killed.")
        if number >= TOLD:
            why = why.splitlines()[0]
        line = f"  failed: {job.info.run_name}: {why}"
        console.print(line, style="red", markup=False, highlight=False)


def give_up(error: Exception) -> None:
    """End the process, and the sweep in it, after an error that was not a job's."""
    if not Sweep.at_work:
        raise error
    broken = explain(error)
    again = f"This runs what is missing: {as_line(typed_command())}"
    if isinstance(error, HydraException):
        broken = str(error)
    elif isinstance(error, TerminatedWorkerError):
        broken = (
            "A process that runs jobs was killed, which ends the others too: perhaps memory ran "
            f"out; hydra.launcher.n_jobs=1 takes less. {again}"
        )
    elif type(error).__module__.startswith("submitit"):  # at the first job that it misses
        cluster.wait_for_jobs(Sweep.at_work.arrays)
        broken = cluster.explain(error, Sweep.at_work.arrays, as_line(typed_command()))
    elif type(error).__module__.startswith("ray"):
        broken = f"Ray ended a job. {str(error).splitlines()[0]} {again}"
    Sweep.at_work.end(broken)


def close_runs() -> None:
    """Close all runs that are open, those of a sweep's jobs too, as KILLED."""
    if Sweep.at_work:
        Sweep.at_work.progress.stop()
        cluster.cancel_jobs(Sweep.at_work.arrays)
    kill_runs()
