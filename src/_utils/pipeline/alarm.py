"""The way back: an alarm of a component sends the pipeline to its first step again."""

import mlflow
from mlflow.entities import Run
from omegaconf import DictConfig, OmegaConf

from _utils.internals import PROJECT_ENV
from _utils.pipeline.record import typed_overrides
from _utils.pipeline.report import Result, command_with, console
from _utils.pipeline.runs import env_manager_of, start_run

ALARM = "alarm"  # metric: above 0 a component raises an alarm


def alarms(results: list[Result]) -> list[Result]:
    """Those that raise an alarm."""
    return [result for result in results if result.metrics.get(ALARM, 0) > 0]


def command_of_alarm() -> str:
    """The command that retrains with the new data."""
    return command_with([*typed_overrides(), "main.on_alarm=retrain"])


def has_to_retrain(on_alarm: str, results: list[Result]) -> bool:
    """Report alarms; returns whether they send the pipeline back to its first step."""
    if not (raised := alarms(results)):
        return False
    message = f"'{', '.join(result.name for result in raised)}' raised an alarm. "
    if on_alarm == "retrain":
        message += "Back to step 1, with the values of main.retrain."
    else:
        message += f"To retrain with the new data: {command_of_alarm()}"
    console.print(message, style="yellow", markup=False, highlight=False)
    return on_alarm == "retrain"


def retraining(config: DictConfig) -> DictConfig:
    """The config of the second round: all steps, with the values of `main.retrain`."""
    as_written = OmegaConf.to_container(config.main.retrain) if config.main.retrain else []
    return OmegaConf.merge(config, OmegaConf.from_dotlist([*as_written, "main.steps=all"]))


def retraining_run(pipeline: Run) -> mlflow.ActiveRun:
    """Start the MLflow run of the second round, a child of the pipeline's."""
    tags = {PROJECT_ENV: env_manager_of(pipeline)}
    return start_run(tags, run_name="retraining", nested=True)
