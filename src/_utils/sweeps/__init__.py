"""Sweeps (`-m`): the run above the jobs, how far they are, which was best, and SLURM for them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import mlflow
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from _utils.environment import tell, told


class SweepRun(Callback):
    """Hydra calls this before the first job of a sweep; config.yaml names it in hydra.callbacks.

    Hydra makes one in every process, so it holds nothing, and what a sweep needs is imported late.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Let jobs share the cores, and start the run that they are children of; plans need none.

        The sweep ends when main.py ends its cleanups: Hydra would not tell it of an error.
        """
        from _utils.pipeline.processes import cleanups, faults_told
        from _utils.sweeps import sweep

        tell("HYDRA_FULL_ERROR", "1")  # an error of a launcher comes to main.py
        jobs_need = [str(Path(__file__).parents[2]), told("PYTHONPATH")]  # _utils
        tell("PYTHONPATH", os.pathsep.join(filter(None, jobs_need)))
        with faults_told():  # Hydra would go on after an error
            planned = sweep.number_of_jobs(config)
            sweep.share_cores(config.hydra, 1 if config.main.plan else planned)
            if not config.main.plan:
                cleanups.enter_context(sweep.sweep_run(config, planned))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Let a job in a process of its own leave Ctrl-C to the process that leads the sweep."""
        if told("SWEEP_RUN_ID") and not mlflow.active_run():
            from _utils.sweeps import slurm

            signal.signal(signal.SIGINT, lambda *_: None)
            if told("SLURM_JOB_ID"):  # where submitit's handler raises an error of its own
                signal.signal(signal.SIGUSR2, slurm.end_at_limit)
