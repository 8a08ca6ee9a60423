"""What a sweep asks of SLURM, beside what Hydra's submitit launcher does."""

import math
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NoReturn

import mlflow
from omegaconf import DictConfig

from _utils.errors import UserError
from _utils.pipeline.dead_runs import close_below

INTERVAL = 0.5  # seconds
# What to do about a reason for which SLURM lets jobs wait, or a state in which it ends them
CURES = {
    "PartitionTimeLimit": "hydra.launcher.timeout_min is above the partition's limit: lower it, or "
    "take another hydra.launcher.partition; `sinfo` lists them.",
    "TIMEOUT": "Give jobs more time: hydra.launcher.timeout_min=<minutes>.",
    "OUT_OF_MEMORY": "Give jobs more memory: hydra.launcher.mem_gb=<GB>.",
}


def arrays_of(hydra: DictConfig) -> list[str]:
    """The ids that SLURM gave to the arrays of this sweep: of folders such as `.submitit/27_0`."""
    if hydra.runtime.choices["hydra/launcher"] != "submitit_slurm":
        return []
    folders = Path(hydra.sweep.dir, ".submitit").glob("[0-9]*")
    return sorted({folder.name.split("_")[0] for folder in folders})


def warn_near_time_limit(launcher: DictConfig) -> None:
    """Let SLURM warn a short job in the last tenth of its time, not as soon as it starts."""
    if "signal_delay_s" in launcher:
        launcher.signal_delay_s = min(launcher.signal_delay_s, int(launcher.timeout_min * 6))


def end_at_limit(signum: int, frame: Any) -> NoReturn:
    """End the component of a job that SLURM has warned, and the job with an error that says why."""
    signal.signal(signum, signal.SIG_IGN)
    if run := mlflow.active_run():
        close_below(run.info.run_id)
    raise UserError(
        "SLURM ended this job since its time was up: "
        "give jobs more time with hydra.launcher.timeout_min=<minutes>."
    )


def queued(arrays: list[str], *options: str) -> list[str]:
    """What squeue prints of these arrays, a line for each job."""
    if not arrays:
        return []
    squeue = ["squeue", "--noheader", f"--jobs={','.join(arrays)}", *options]
    return subprocess.run(squeue, capture_output=True, text=True).stdout.splitlines()


def reasons_for_waiting(arrays: list[str]) -> str:
    """Why SLURM lets jobs of these arrays wait, each reason with its cure if there is one."""
    reasons = {*queued(arrays, "--states=PENDING", "--format=%r")} - {"None"}
    return "".join(f"; waiting: {name}. {CURES.get(name, '')}" for name in sorted(reasons))


def wait_for_jobs(arrays: list[str], patience: float = math.inf) -> None:
    """Wait until SLURM has none of these arrays any more, for so many seconds at most."""
    end = time.monotonic() + patience
    while queued(arrays) and time.monotonic() < end:
        time.sleep(INTERVAL)


def cancel_jobs(arrays: list[str]) -> None:
    """End the jobs of these arrays, and take those that wait off the queue."""
    if arrays:
        # First those that wait, since each job that ends lets one of them start. HUP ends a job and
        # its component at once: submitit ignores SIGTERM, which scancel sends before SIGKILL, so
        # the job would see its component fail
        for options in (["--state=PENDING"], ["--signal=HUP"], []):
            subprocess.run(["scancel", *options, *arrays], capture_output=True)
        wait_for_jobs(arrays, patience=3)


def explain(error: Exception, arrays: list[str], command: str) -> str:
    """What to say about an error of submitit, after SLURM has taken these arrays."""
    reason = " ".join(str(error).splitlines()[:2])
    if not arrays:
        return f"SLURM took no job: {reason}. `sinfo` lists partitions. Correct, repeat: {command}"
    cures = [cure for state, cure in CURES.items() if f"(state: {state}" in reason]
    again = f"To run the missing jobs, repeat: {command}"
    return " ".join([f"SLURM ended a job. {reason}.", *cures, again])
