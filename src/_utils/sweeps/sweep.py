"""The run of a sweep, from its start to its end.

The jobs run in other processes, which may be on other machines: what they have to know of the sweep
is in environment variables, and their results are in MLflow.
"""

import sys
import warnings
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import mlflow
from hydra.errors import HydraException
from joblib import cpu_count, effective_n_jobs
from mlflow.entities import Run
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from _utils import internals
from _utils.command_line import as_line
from _utils.environment import tell
from _utils.errors import UserError, explain
from _utils.pipeline.dead_runs import close_below
from _utils.pipeline.faults import check_server
from _utils.pipeline.processes import SWEEP, typed_command
from _utils.pipeline.report import console
from _utils.pipeline.runs import ERROR, start_top_run
from _utils.pipeline.server import open_tracking_store, serve_tracking_store
from _utils.pipeline.summary import print_ui_hint
from _utils.sweeps import slurm
from _utils.sweeps.page import PAGE
from _utils.sweeps.progress import progress_shown
from _utils.sweeps.ranking import jobs_of, publish_ranking
from _utils.warm import warm_starts

ON_THIS_MACHINE = ("basic", "joblib", "submitit_local")  # launchers
SHOWN_IN_FULL = 3  # reasons of failed jobs


@contextmanager
def sweep_run(config: DictConfig, planned: int) -> Iterator[None]:
    """Within this, jobs are children of one run; at the end they are ranked, and failures named.

    Any error but an interrupt ends the sweep, after its jobs were ranked, with exit status 1.

    Raises:
        UserError: The jobs would run on machines that cannot reach the tracking store.
    """
    launcher, broken = config.hydra.runtime.choices["hydra/launcher"], ""
    if launcher not in ON_THIS_MACHINE:
        check_server(f"hydra/launcher={launcher}")
    slurm.warn_near_time_limit(config.hydra.launcher)
    run = start_top_run(config, f"sweep of {planned}: {', '.join(swept_keys(config))}").info
    serve_tracking_store()
    tell(SWEEP, run.run_id)
    try:
        is_shared = launcher in ON_THIS_MACHINE  # elsewhere each job has its own warm parent
        with (
            warm_starts(is_shared and config.main.get("warm_start", True)),
            progress_shown(run, planned, config),
        ):
            try:
                yield
            except Exception as error:
                broken = why_broken(error, config)
    finally:
        # Also what SLURM has put into the queue again
        slurm.cancel_jobs(slurm.arrays_of(config.hydra))
    close_below(run.run_id)  # the processes of those that still run are gone
    is_whole = publish_result(jobs_of(run), planned, config, broken)
    mlflow.end_run("FINISHED" if is_whole else "FAILED")
    print_ui_hint(open_tracking_store(), run, PAGE)
    if not is_whole:
        sys.exit(1)


def publish_result(jobs: list[Run], planned: int, config: DictConfig, broken: str) -> bool:
    """Rank the jobs, and show why some failed and why the sweep broke off, if it did.

    Returns:
        Whether all jobs finished.
    """
    failed = [job for job in jobs if job.info.status != "FINISHED"]
    if len(jobs) == planned and not failed:
        broken = ""  # SLURM has run again what it had ended
    missing = f" of {planned}" if broken else ""
    console.print(f"\nSweep: {len(jobs)}{missing} jobs, {len(failed)} failed", highlight=False)
    publish_ranking(jobs, config)
    faults = []
    for number, job in enumerate(failed):
        reason = job.data.tags.get(ERROR, "its process was killed.")
        reason = reason if number < SHOWN_IN_FULL else reason.splitlines()[0]
        faults.append(f"  failed: {job.info.run_name}: {reason}")
    for fault in [*faults, *([broken] if broken else [])]:
        console.print(fault, style="red", markup=False, highlight=False)
    return not (failed or broken)


def swept_keys(config: DictConfig) -> list[str]:
    """The last parts of the keys that have several values."""
    typed = internals.parse_overrides([*config.hydra.overrides.task])
    keys = [*(config.hydra.sweeper.get("params") or {})]
    keys += [each.key_or_group for each in typed if each.is_sweep_override()]
    return [key.rpartition(".")[2] for key in keys]


def number_of_jobs(config: DictConfig) -> int:
    """How many jobs the sweep is going to have.

    Raises:
        UserError: Hydra cannot read the values.
    """
    sweeper = config.hydra.sweeper
    if "n_trials" in sweeper:  # an optimiser
        warnings.filterwarnings("ignore", "(?s).*has been deprecated in v", FutureWarning)
        return sweeper.n_trials
    lists = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    overrides = internals.parse_overrides([*lists, *config.hydra.overrides.task])
    try:
        return len(internals.split_sweep(overrides))
    except OmegaConfBaseException as error:  # how Hydra fails at a list with a range in it
        swept = ", ".join(each.input_line for each in overrides if each.is_sweep_override())
        raise UserError(
            f"The sweep {swept} cannot be read: write out the values beside a range()."
        ) from error


def share_cores(hydra: DictConfig, jobs: int) -> None:
    """Let as many jobs run side by side as there are cores, and each take its share of them.

    Raises:
        UserError: No job could run.
    """
    launcher = hydra.launcher
    if launcher.get("n_jobs") == 0:
        raise UserError("hydra.launcher.n_jobs=0: write how many jobs, or -1 for one on each core.")
    if "n_jobs" in launcher:
        with open_dict(launcher):
            at_once = (effective_n_jobs(launcher.n_jobs), jobs, hydra.sweeper.get("n_jobs", jobs))
            launcher.n_jobs = min(at_once)
        share = max(1, cpu_count() // launcher.n_jobs)
    elif "cpus_per_task" in launcher:
        share = launcher.cpus_per_task or 1
    else:
        return
    # What OpenMP, and scikit-learn with n_jobs=-1, take for the number of cores
    for name in "OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT":
        tell(name, str(share))


def why_broken(error: Exception, config: DictConfig) -> str:
    """What to say about an error that ended the sweep before all its jobs had run."""
    command = as_line(typed_command())
    if isinstance(error, HydraException):
        return str(error)
    if isinstance(error, BrokenProcessPool):  # of joblib
        return (
            "A process that runs jobs was killed, which ends the other jobs too: perhaps memory "
            "ran out; hydra.launcher.n_jobs=1 takes less. To run the missing jobs, repeat: "
            f"{command}"
        )
    if type(error).__module__.startswith("submitit"):
        arrays = slurm.arrays_of(config.hydra)
        slurm.wait_for_jobs(arrays)  # submitit gives up at the first job that it misses
        return slurm.explain(error, arrays, command)
    return explain(error)
