"""Sweeps whose jobs run on other machines: what that takes, and what to do with jobs left over."""

import math
import os
import subprocess
import time
from pathlib import Path

import mlflow
from omegaconf import DictConfig, OmegaConf

from _utils.errors import UserError
from _utils.masking import SERVED

HERE = ("basic", "joblib", "submitit_local")  # launchers that use this machine only
PASSED_ON = (  # variables, without any that may hold a secret: Ray shows them
    *("MLFLOW_TRACKING_URI", "PYTHONPATH", "SWEEP_RUN_ID"),
    *("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"),
)
INTERVAL = 0.5  # seconds
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
    scheme = os.environ.get(SERVED) or mlflow.get_tracking_uri().partition(":")[0]
    if scheme not in ("http", "https", "databricks"):
        raise UserError(
            f"{wanted} runs on machines that cannot reach the tracking store ({scheme}:...) of "
            "this one: start `mlflow server` with a PostgreSQL database and set "
            f"MLFLOW_TRACKING_URI=http://<host>:<port>; {DOCUMENTED}"
        )


def pass_on_environment(launcher: DictConfig) -> None:
    """Let a running Ray cluster set variables in the jobs; all others pass on the environment."""
    if "ray" in launcher:
        variables = {name: os.environ[name] for name in PASSED_ON}
        settings = {"runtime_env": {"env_vars": variables}, "log_to_driver": False}
        OmegaConf.update(launcher, "ray.init", settings, force_add=True)


def wait_for_jobs(arrays: list[str], patience: float = math.inf) -> None:
    """Wait, so many seconds at most, until SLURM has none of these any more."""
    squeue = ["squeue", "--noheader", f"--jobs={','.join(arrays)}"]
    end = time.monotonic() + patience
    while subprocess.run(squeue, capture_output=True).stdout.strip() and time.monotonic() < end:
        time.sleep(INTERVAL)


def cancel_jobs(arrays: list[str]) -> None:
    """Take these off SLURM's queue, and end those that run."""
    if arrays:
        subprocess.run(["scancel", *arrays], check=False)
        # At once: submitit lets its jobs ignore the polite way
        subprocess.run(["scancel", "--full", "--signal=KILL", *arrays], check=False)
        wait_for_jobs(arrays, patience=3)


def submitted_to_slurm(hydra: DictConfig) -> list[str]:
    """The ids that SLURM gave to what this sweep submitted: folders such as `.submitit/27_0`."""
    if hydra.runtime.choices["hydra/launcher"] != "submitit_slurm":
        return []
    folders = Path(hydra.sweep.dir, ".submitit").glob("[0-9]*")
    return sorted({folder.name.split("_")[0] for folder in folders})
