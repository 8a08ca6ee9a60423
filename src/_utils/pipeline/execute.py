"""Running the components of a plan, one after the other, as children of the pipeline's run."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.projects.submitted_run import LocalSubmittedRun, SubmittedRun
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.process import ShellCommandException
from rich.markup import escape

from _utils.artifacts.index import PINNED, outputs_of, parse_reference
from _utils.artifacts.stores import component_run
from _utils.backends.component_backend import MLFLOWS_NAMES
from _utils.command_line import as_line
from _utils.errors import UserError
from _utils.masking import without_secrets
from _utils.pipeline.log import Log
from _utils.pipeline.plan import Component, as_latest
from _utils.pipeline.processes import end_processes, typed_command, working_for
from _utils.pipeline.report import Result, console
from _utils.pipeline.reuse import (
    cache_key,
    decide,
    make_reusable,
    one_job_at_a_time,
    record_reuse,
)
from _utils.pipeline.runs import SWEEP, env_manager_of, mask_tags


def run_components(plan: list[Component], pipeline: Run) -> list[Result]:
    """Run or reuse the components in order, up to and including the first that fails."""
    os.environ[PINNED] = "true"
    # `python` in an MLproject is to be the one that runs this file, also where the environment
    # was not activated; under conda, virtualenv and uv MLflow puts the component's own before it.
    own, *path = str(Path(sys.executable).parent), *os.get_exec_path()
    if own != path[0]:  # a job of a sweep comes after others in the same process
        os.environ["PATH"] = os.pathsep.join([own, *path])
    env_manager = env_manager_of(pipeline)
    made: dict[str, str] = {}
    results: list[Result] = []
    for number, component in enumerate(plan, start=1):
        title = f"[bold]{number}/{len(plan)} {component.name}[/]"
        result = run_or_reuse(
            component.pinned(made).with_models_pinned(), pipeline, env_manager, title
        )
        results.append(result)
        # On the pipeline's run too, where pipelines and the jobs of a sweep can be compared.
        mlflow.log_metrics({f"{result.name}.{key}": value for key, value in result.metrics.items()})
        if result.status != "FINISHED":
            break
        made_now = ", ".join(f"{name}:{version}" for name, version in result.outputs.items())
        arrow = f" -> {made_now}" if made_now else ""
        console.print(f"    {result.seconds:.1f} s{arrow}", style="dim", highlight=False)
        check_outputs(component, result, plan[number:])
        made |= dict(zip(as_latest(result.outputs), result.outputs.values(), strict=True))
    return results


def check_outputs(component: Component, result: Result, later: list[Component]) -> None:
    """Refuse to go on if a later component would use an older artifact than it should.

    Raises:
        UserError: The component has published what none of its parameters names.
    """
    used = {parse_reference(each)[0] for other in later for each in other.inputs.values()}
    for name in used & (result.outputs.keys() - {*component.outputs.values()}):
        raise UserError(
            f"'{component.name}' published '{name}', which none of its parameters names, so what "
            "uses it would get an older one: give it a parameter "
            f"output_artifact={name}, in its MLproject and in config.yaml."
        )


def run_or_reuse(component: Component, pipeline: Run, env_manager: str, title: str) -> Result:
    """Let a finished run stand for the component if one can, and else run it."""
    key = cache_key(component)
    with one_job_at_a_time(key):
        decision = decide(component, key, pipeline.info.experiment_id)
        if not decision.reasons:
            result = reuse_component(component, decision.run, pipeline)
            console.print(f"{title} [dim]reused from {result.reused_from}[/]", highlight=False)
            return result
        why = escape(", ".join(decision.reasons[:3]))
        console.print(f"{title} [dim]({why})[/]", highlight=False)
        result = run_component(component, pipeline, env_manager)
        if result.status == "FINISHED":
            make_reusable(result.run_id, key)
        return result


def reuse_component(component: Component, source: Run, pipeline: Run) -> Result:
    """Let a finished run stand for the component."""
    start = time.time()
    run_id = record_reuse(component, source, pipeline)
    return Result(
        component.name,
        "FINISHED",
        time.time() - start,
        run_id,
        source.data.metrics,
        {artifact.name: artifact.version for artifact in outputs_of(source)},
        reused_from=source.info.run_id,
    )


def run_component(component: Component, pipeline: Run, env_manager: str) -> Result:
    """Run one component as an MLflow project and wait for its end.

    Raises:
        UserError: MLflow could not even make a run for it.
    """
    log, start = Log(shown=not console.quiet), time.time()
    started = exit_code = fault = None
    try:
        with log.capture():
            started = mlflow.run(
                project_path(component.folder),
                parameters=component.parameters,
                experiment_id=pipeline.info.experiment_id,
                run_name=component.name,
                env_manager=env_manager,
                backend=MLFLOWS_NAMES.get(component.backend, component.backend),
                backend_config=dict(component.backend_config),
                synchronous=False,
            )
        mask_tags(MlflowClient().get_run(started.run_id))
        exit_code = wait_for(started)
    except (MlflowException, ShellCommandException, subprocess.CalledProcessError) as error:
        fault = error
    except KeyboardInterrupt:
        log.shown = False  # what processes say when they are ended is of no use
        if started and not isinstance(started, LocalSubmittedRun):
            started.cancel()
        of_run = working_for([started.run_id] if started else [])
        end_processes(of_run | set(psutil.Process().children(recursive=True)))
        with suppress(Exception):  # the next pipeline closes what cannot be closed now
            for run in _runs_since(start, pipeline):
                _end_run(run.info.run_id, "KILLED", component, log)
        raise
    runs = _runs_since(start, pipeline)
    if not runs:
        raise UserError(f"Component '{component.name}' could not be started: {fault}") from fault
    if fault:
        console.print(without_secrets(str(fault)), style="red", markup=False, highlight=False)
    run_id = runs[0].info.run_id
    missing = component.unpublished(MlflowClient().get_run(run_id))
    ended_well = exit_code == 0 and not missing
    run = _end_run(run_id, "FINISHED" if ended_well else "FAILED", component, log)
    return Result(
        component.name,
        run.info.status,
        time.time() - start,
        run.info.run_id,
        run.data.metrics,
        {artifact.name: artifact.version for artifact in outputs_of(run)},
        exit_code=exit_code,
        missing=missing,
        log=log,
    )


def project_path(folder: Path) -> str:
    """A component's folder as MLflow takes it: what follows a # is a folder within to it."""
    path = str(folder)
    if "#" in path and "#" in (path := os.path.relpath(folder)):
        raise UserError(
            f"MLflow cannot run '{folder}' from here, since it has a '#': cd into the project."
        )
    return path


def wait_for(started: SubmittedRun) -> int:
    """Wait for the end of a component; returns the exit code of its process, or 0 or 1."""
    if not isinstance(started, LocalSubmittedRun):
        return 0 if started.wait() else 1
    while (exit_code := started.command_proc.poll()) is None:
        time.sleep(0.02)  # wait() would go on for a while after Ctrl-C
    return exit_code


def _runs_since(start: float, pipeline: Run) -> list[Run]:
    """The newest child of the pipeline since then; where MLflow fails, it does not name the run."""
    of_pipeline = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{pipeline.info.run_id}'"
    since = f"attributes.start_time >= {int(start * 1000)}"
    experiments = [pipeline.info.experiment_id]
    return MlflowClient().search_runs(experiments, f"{of_pipeline} and {since}", max_results=1)


def _end_run(run_id: str, status: str, component: Component, log: Log) -> Run:
    """Close the run of a component whose process has ended, and leave the log in it."""
    client = MlflowClient()
    said = client.get_run(run_id).info.status
    # What the component said of itself counts, unless its process says that it is worse.
    if status != "FINISHED" or said == "RUNNING":
        client.set_terminated(run_id, status)
        client.update_run(run_id, name=component.name)
    log.publish(run_id)
    with component_run(run_id):  # for a component that did not do so itself, being no Python
        pass
    return client.get_run(run_id)


def raise_for_failure(results: list[Result]) -> None:
    """Raise UserError if the last component failed, with the end of a log that was not shown."""
    if not results or results[-1].status == "FINISHED":
        return
    failed = results[-1]
    how = f"with exit code {failed.exit_code}"
    if failed.exit_code is None:
        how = "before it started"
    elif failed.exit_code < 0:
        how = f"with exit code {128 - failed.exit_code} (signal {-failed.exit_code})"
    elif failed.exit_code == 0 and failed.missing:
        how = (
            f"to publish {', '.join(failed.missing)}, which its parameters name: "
            "call log_artifact, or take the parameter away"
        )
    lines = [f"Component '{failed.name}' failed {how}."]
    if not failed.log.shown:
        lines += ["Its last lines:", *(f"  | {line}" for line in failed.log.last_lines)]
    lines.append(f"Its whole log: {failed.log.place}")
    if SWEEP not in os.environ:
        lines.append(f"Fix the cause, then continue with: `{as_line(typed_command())}`")
    raise UserError("\n".join(lines))
