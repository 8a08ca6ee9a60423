"""Sweeps whose jobs run on other machines: what that takes, and what to do with jobs left over."""

import math
import subprocess
import time
from pathlib import Path

import mlflow
from omegaconf import DictConfig, OmegaConf

from _utils.environment import told
from _utils.errors import UserError
from _utils.masking import SERVED

HERE = ("basic", "joblib", "submitit_local")  # launchers that use this machine only
PASSED_ON = (  # variables, without any that may hold a secret: Ray shows them
    *("MLFLOW_TRACKING_URI", "PYTHONPATH", "SWEEP_RUN_ID"),
    *("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"),
)
INTERVAL = 0.5  # seconds
# What to do about a reason for which SLURM lets jobs wait, or a state in which it ends them
CURES = {
    "PartitionTimeLimit": "hydra.launcher.timeout_min is above the partition's limit: lower it, or "
    "take another hydra.launcher.partition; `sinfo` lists them.",
    "TIMEOUT": "Give jobs more time: hydra.launcher.timeout_min=<minutes>.",
    "OUT_OF_MEMORY": "Give jobs more memory: hydra.launcher.mem_gb=<GB>.",
}
DOCUMENTED = "see 'Sweeps on a cluster' in MLpipeline.md."


def check_tracking(launcher: str) -> None:
    """Refuse a launcher of other machines with a tracking store that they cannot reach.

    Raises:
        UserError: The store is a file or a database.
    """
    if launcher not in HERE:
        check_server(f"hydra/launcher={launcher}")


def check_server(wanted: str) -> None:
    """Refuse a tracking store that is no server.

    Raises:
        UserError: The store is a file or a database; the message says that `wanted` needs more.
    """
    scheme = told(SERVED) or mlflow.get_tracking_uri().partition(":")[0]
    if scheme not in ("http", "https", "databricks"):
        raise UserError(
            f"{wanted} runs on machines that cannot reach the tracking store ({scheme}:...) of "
            "this one: start `mlflow server` with a PostgreSQL database and set "
            f"MLFLOW_TRACKING_URI=http://<host>:<port>; {DOCUMENTED}"
        )


def pass_on_environment(launcher: DictConfig) -> None:
    """Let a running Ray cluster set variables in the jobs; all others pass on the environment."""
    if "ray" in launcher:
        variables = {name: told(name) for name in PASSED_ON}
        settings = {"runtime_env": {"env_vars": variables}, "log_to_driver": False}
        OmegaConf.update(launcher, "ray.init", settings, force_add=True)


def wait_for_jobs(arrays: list[str], patience: float = math.inf) -> None:
    """Wait, so many seconds at most, until SLURM has none of these any more."""
    squeue = ["squeue", "--noheader", f"--jobs={','.join(arrays)}"]
    end = time.monotonic() + patience
    while arrays and time.monotonic() < end:
        if not subprocess.run(squeue, capture_output=True).stdout.strip():
            break
        time.sleep(INTERVAL)


def cancel_jobs(arrays: list[str]) -> None:
    """Take these off SLURM's queue, and end those that run."""
    if arrays:
        # Those that wait first, for each that ends lets one of them start. HUP ends a job and its
        # component at once: scancel's SIGTERM, which comes before any SIGKILL, is ignored by
        # submitit, and the job would see its component fail
        for how in (["--state=PENDING"], ["--signal=HUP"], []):
            subprocess.run(["scancel", *how, *arrays], check=False, capture_output=True)
        wait_for_jobs(arrays, patience=3)


def why_waiting(arrays: list[str]) -> list[str]:
    """The reasons for which SLURM lets jobs of these wait, each with its cure if it has one."""
    if not arrays:
        return []
    squeue = ["squeue", "--noheader", f"--jobs={','.join(arrays)}", "--states=PENDING"]
    found = subprocess.run([*squeue, "--format=%r"], capture_output=True, text=True)
    reasons = sorted({*found.stdout.split("\n")} - {"", "None"})
    return [f"{reason}. {CURES[reason]}" if reason in CURES else reason for reason in reasons]


def warn_in_time(launcher: DictConfig) -> None:
    """Let SLURM's signal before the time limit of short jobs come near the limit, not at once."""
    if "signal_delay_s" in launcher:
        tenth = max(1, int(launcher.timeout_min * 60) // 10)
        launcher.signal_delay_s = min(launcher.signal_delay_s, tenth)


def explain(error: Exception, arrays: list[str], again: str) -> str:
    """What to say about an error of submitit.

    Args:
        error: What it raised.
        arrays: What SLURM has taken.
        again: The command that was typed.
    """
    what = " ".join(str(error).splitlines()[:2])
    if not arrays:
        return f"SLURM took no job: {what}. `sinfo` lists partitions. Correct and repeat: {again}"
    cures = [cure for state, cure in CURES.items() if f"(state: {state}" in what]
    return " ".join([f"SLURM ended a job. {what}.", *cures, f"This runs what is missing: {again}"])


def submitted_to_slurm(hydra: DictConfig) -> list[str]:
    """The ids that SLURM gave to what this sweep submitted: folders such as `.submitit/27_0`."""
    if hydra.runtime.choices["hydra/launcher"] != "submitit_slurm":
        return []
    folders = Path(hydra.sweep.dir, ".submitit").glob("[0-9]*")
    return sorted({folder.name.split("_")[0] for folder in folders})
