"""Running the components of a plan, one after the other, as children of the pipeline's run."""

import os
import sys
import time
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.process import ShellCommandException

from _utils.artifacts import LATEST, find_artifact, outputs_of, parse_reference
from _utils.errors import UserError
from _utils.pipeline.plan import Component
from _utils.pipeline.report import Result, console
from _utils.pipeline.tracking import env_manager_of


def run_components(plan: list[Component], pipeline: Run) -> list[Result]:
    """Run the components in order, up to and including the first that fails."""
    # `python` in an MLproject is to be the one that runs this file, also where the environment
    # was not activated; under conda, virtualenv and uv MLflow puts the component's own before it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env_manager = env_manager_of(pipeline)
    made: dict[str, str] = {}
    results: list[Result] = []
    for number, component in enumerate(plan, start=1):
        console.print(f"[bold]{number}/{len(plan)} {component.name}[/]")
        parameters = pin(component, made, pipeline.info.experiment_id)
        result = run_component(component, parameters, pipeline, env_manager)
        results.append(result)
        # On the pipeline's run too, where pipelines and the jobs of a sweep can be compared.
        mlflow.log_metrics({f"{result.name}.{key}": value for key, value in result.metrics.items()})
        if result.status != "FINISHED":
            break
        made_now = ", ".join(f"{name}:{version}" for name, version in result.outputs.items())
        arrow = f" -> {made_now}" if made_now else ""
        console.print(f"    {result.seconds:.1f} s{arrow}", style="dim", highlight=False)
        made.update(result.outputs)
    return results


def pin(component: Component, made: dict[str, str], experiment_id: str) -> dict[str, str]:
    """The component's parameters with every `name:latest` as `name:<version>`.

    What this pipeline made itself comes before what others published in the meantime.
    """
    pinned = dict(component.parameters)
    for key, reference in component.inputs.items():
        name, version = parse_reference(reference)
        if version == LATEST:
            version = made.get(name) or find_artifact(name, LATEST, experiment_id).version
            pinned[key] = f"{name}:{version}"
    return pinned


def run_component(
    component: Component, parameters: dict[str, str], pipeline: Run, env_manager: str
) -> Result:
    """Run one component as an MLflow project and wait for its end.

    Raises:
        UserError: MLflow could not even make a run for it.
    """
    client, experiment_id = MlflowClient(), pipeline.info.experiment_id
    start, fault = time.time(), None
    try:
        mlflow.run(
            str(component.folder),
            parameters=parameters,
            experiment_id=experiment_id,
            run_name=component.name,
            env_manager=env_manager,
        )
    except (MlflowException, ShellCommandException) as error:
        fault = error  # also where the component ran and failed; then its run has the status
    of_this = (
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{pipeline.info.run_id}' "
        f"and attributes.start_time >= {int(start * 1000)}"
    )
    runs = client.search_runs([experiment_id], of_this, max_results=1)
    if not runs:
        raise UserError(f"Component '{component.name}' could not be started: {fault}") from fault
    run = runs[0]
    if run.info.status == "RUNNING":  # its environment could not be made, so it said nothing itself
        console.print(str(fault), style="red", markup=False, highlight=False)
        client.update_run(run.info.run_id, "FAILED", component.name)
        run = client.get_run(run.info.run_id)
    seconds = time.time() - start
    outputs = {artifact.name: artifact.version for artifact in outputs_of(run)}
    return Result(
        component.name, run.info.status, seconds, run.info.run_id, run.data.metrics, outputs
    )


def raise_for_failure(results: list[Result]) -> None:
    """Raise UserError if the last component failed."""
    if results and results[-1].status != "FINISHED":
        failed = results[-1]
        raise UserError(
            f"Component '{failed.name}' failed. Its message stands above, more in the files of its "
            f"run {failed.run_id}."
        )
