"""The run that all jobs of a sweep (`-m`) are children of."""

import sys
from typing import Any

import mlflow
from hydra.experimental.callback import Callback
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import DictConfig

from _utils.pipeline.report import console, print_ui_hint
from _utils.pipeline.tracking import serve_tracking_store, start_top_run


class SweepRun(Callback):
    """Hydra calls this before the first job of a sweep and after the last."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start the run; the jobs find it as the active one. Plans need none."""
        if not config.main.plan:
            start_top_run(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End the run; say which jobs failed and, if any did, exit with status 1."""
        if config.main.plan:
            return
        sweep = mlflow.active_run().info
        jobs = MlflowClient().search_runs(
            [sweep.experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{sweep.run_id}'"
        )
        failed = [job.info.run_name for job in jobs if job.info.status != "FINISHED"]
        mlflow.end_run("FAILED" if failed else "FINISHED")
        console.print(f"\nSweep: {len(jobs)} jobs, {len(failed)} failed", highlight=False)
        for name in failed:
            console.print(f"  failed: {name}", style="red", markup=False, highlight=False)
        print_ui_hint(serve_tracking_store())
        if failed:
            sys.exit(1)
