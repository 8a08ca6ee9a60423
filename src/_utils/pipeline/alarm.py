"""The way back: an alarm of a component sends the pipeline to its first step again."""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENV
from omegaconf import DictConfig, OmegaConf

from _utils.pipeline.dead_runs import PROCESS, process_tag
from _utils.pipeline.report import Result, console
from _utils.pipeline.runs import env_manager_of, mask_tags
from _utils.variables import as_written

ALARM = "alarm"  # metric: above 0 a component raises an alarm


def has_to_retrain(main: DictConfig, results: list[Result]) -> bool:
    """Tell of alarms; returns whether they send the pipeline back to its first step.

    Args:
        main: The section `main` of the config.
        results: Of the components that ran.
    """
    raised = [result.name for result in results if result.metrics.get(ALARM, 0) > 0]
    if not raised:
        return False
    cure = "back to step 1, with the values of main.retrain"
    if main.on_alarm == "report":
        cure = "main.on_alarm=retrain would train again, with the new data"
    console.print(f"Alarm of {', '.join(raised)}: {cure}.", style="yellow", highlight=False)
    return main.on_alarm == "retrain"


def retraining(config: DictConfig) -> DictConfig:
    """The config of the second time: all steps, with the values of `main.retrain`."""
    overrides = as_written(config.main).get("retrain") or []
    values = OmegaConf.from_dotlist([*overrides, "main.steps=all"])
    return OmegaConf.merge(config, values)


@contextmanager
def retraining_run(pipeline: Run) -> Iterator[Run]:
    """The MLflow run of the second time, a child of the pipeline's."""
    tags = {MLFLOW_PROJECT_ENV: env_manager_of(pipeline), PROCESS: process_tag()}
    with mlflow.start_run(run_name="retraining", nested=True, tags=tags) as run:
        mask_tags(run)
        yield run
