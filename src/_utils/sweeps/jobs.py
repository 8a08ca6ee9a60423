"""What a job of a sweep does otherwise than a pipeline of its own."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from mlflow import MlflowClient

from _utils.internals import PROJECT_ENV
from _utils.pipeline.report import console
from _utils.pipeline.reuse import digest_of_key
from _utils.pipeline.runs import env_manager_of, start_run
from _utils.variables import recorded

JOB = "job"  # tag: the number of a sweep's job


def start_job_run(sweep_id: str) -> mlflow.ActiveRun:
    """Start the run of a sweep's job, named by its overrides; the terminal is the sweep's."""
    console.quiet = True
    sweep, hydra_job = MlflowClient().get_run(sweep_id), HydraConfig.get().job
    return start_run(
        {PROJECT_ENV: env_manager_of(sweep), JOB: str(hydra_job.num)},
        experiment_id=sweep.info.experiment_id,
        run_name=recorded(hydra_job.override_dirname),
        nested=True,
        parent_run_id=sweep_id,
    )


def one_job_at_a_time(key: dict[str, Any]) -> AbstractContextManager:
    """Within this no other job of the sweep works on a component with the same cache key."""
    folder = Path(HydraConfig.get().sweep.dir) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / digest_of_key(key)[:12])
