"""Running the components of a plan, one after the other, as children of the pipeline's run."""

import os
import subprocess
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from rich.markup import escape

from _utils.artifacts.index import LATEST, PINNED, parse_reference, versions_of
from _utils.artifacts.stores import component_run
from _utils.capabilities import load_capability
from _utils.environment import tell, told
from _utils.errors import UserError
from _utils.internals import PARENT_RUN_ID, process_of, shell_error
from _utils.masking import without_secrets
from _utils.pipeline import reuse, warm
from _utils.pipeline.backend import MLFLOWS_NAMES
from _utils.pipeline.component import Component
from _utils.pipeline.config import Main
from _utils.pipeline.environments import made_quietly
from _utils.pipeline.log import Log
from _utils.pipeline.processes import SWEEP, end_processes, working_for
from _utils.pipeline.report import Result, console, line_about, metrics_to_compare
from _utils.pipeline.runs import env_manager_of, mask_tags
from _utils.pipeline.server import serve_tracking_store

VERDICTS = "verdict", "promotion"  # tags in which a component says in a sentence what it found


def run_components(plan: list[Component], pipeline: Run, main: Main) -> list[Result]:
    """Run or reuse the components in order, up to and including the first that fails."""
    tell(PINNED, "true")
    env_manager = env_manager_of(pipeline)
    versions: dict[str, str] = {}  # name:latest -> version, of what this pipeline has published
    results: list[Result] = []
    metrics: dict[str, float] = {}  # for the pipeline's run, where pipelines can be compared
    # Runs that may serve again; from the first component that runs on, for it may take hours, none
    recent = reuse.recent_runs() if plan and not plan[0].must_run else []
    try:
        for number, component in enumerate(plan, start=1):
            title = f"[bold]{number}/{len(plan)} {component.name}[/]"
            pinned = component.pinned(versions).with_models_pinned()
            warm.later[:] = [each.folder for each in plan[number - 1 :] if each.backend == "local"]
            log = Log(shown=(main.verbose or len(plan) == 1) and not console.quiet)
            result = run_or_reuse(pinned, pipeline, env_manager, title, recent, log)
            results.append(result)
            metrics |= metrics_to_compare(result, main.objective.metric)
            if result.status != "REUSED":
                recent = []
            if result.failed:
                break
            published = ", ".join(f"{name}:{version}" for name, version in result.outputs.items())
            arrow = f" -> {published}" if published else ""
            apart = f" (and its environment {result.preparing:.1f} s)" if result.preparing else ""
            line = f"    {result.seconds:.1f} s{apart}{arrow}"
            console.print(line, style="dim", highlight=False)
            if result.says and result.why and not log.shown:
                console.print(f"    {result.verdict}", markup=False, highlight=False)
            check_outputs(component, result, plan[number:])
            versions |= {f"{name}:{LATEST}": version for name, version in result.outputs.items()}
    finally:
        mlflow.log_metrics(metrics)
    return results


def check_outputs(component: Component, result: Result, later: list[Component]) -> None:
    """Refuse to go on if a later component would use an older artifact than it should.

    Raises:
        UserError: The component has published what none of its parameters names.
    """
    used = {parse_reference(each)[0] for other in later for each in other.inputs.values()}
    for name in used & (result.outputs.keys() - {*component.outputs.values()}):
        raise UserError(
            f"'{component.name}' published '{name}', which none of its parameters names, so later "
            f"components would use an older version: add a parameter of the type output to its "
            f"MLproject, and its value {name} to config.yaml."
        )


def run_or_reuse(
    component: Component, pipeline: Run, env_manager: str, title: str, recent: list[Run], log: Log
) -> Result:
    """Reuse a finished run of the component if there is one, or run the component."""
    start, key = time.time(), reuse.cache_key(component)
    jobs = load_capability("sweeps.jobs", SWEEP) if told(SWEEP) else None
    with jobs.one_job_at_a_time(key) if jobs else nullcontext():
        source, reasons = None, [component.must_run]
        if jobs or not component.must_run:
            source, reasons = reuse.decide(component, key, pipeline.info.experiment_id, recent)
        if not reasons:
            console.print(f"{title} [dim]reused from {source.info.run_id}[/]", highlight=False)
            run_id = reuse.record_reuse(component, source, pipeline)
            result = result_of(component, source, "REUSED", start)
            return replace(result, run_id=run_id, reused_from=source.info.run_id)
        why = ", ".join(reasons[:3])
        console.print(f"{title} [dim]({escape(why)})[/]", highlight=False)
        result = replace(run_component(component, pipeline, env_manager, log), why=why)
        if not result.failed:
            reuse.make_reusable(result.run_id, key)
        return result


def result_of(component: Component, run: Run, status: str, start: float, **failure: Any) -> Result:
    """What became of a component, by a run of it."""
    seconds, outputs = time.time() - start, versions_of(run)
    says = next((run.data.tags[tag] for tag in VERDICTS if tag in run.data.tags), "")
    about = (run.info.run_id, run.data.metrics, outputs)
    return Result(component.name, status, seconds, *about, says=says, **failure)


def run_component(component: Component, pipeline: Run, env_manager: str, log: Log) -> Result:
    """Run one component as an MLflow project and wait for its end.

    Raises:
        UserError: MLflow could not create a run for it.
    """
    warm.import_ahead(env_manager)
    serve_tracking_store()
    start = time.time()
    started = exit_code = fault = None
    try:
        has_own = component.has_environment(env_manager)
        with made_quietly(component.folder, env_manager, log) if has_own else nullcontext():
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
        if output := getattr(started, "output", None):  # last: whoever sees it may press Ctrl-C
            log.follow(output)
        exit_code = wait_for(started, log)
    except (MlflowException, shell_error(), subprocess.CalledProcessError) as error:
        fault = error
        log.write(f"{without_secrets(str(fault))}\n".encode())
    except KeyboardInterrupt:
        log.shown = False  # what processes print when they are interrupted is of no use
        end_component(started)
        with suppress(Exception):  # the next pipeline closes what cannot be closed now
            end_run(run_of(started, pipeline, start), "KILLED", component, log)
        raise
    if not (run := run_of(started, pipeline, start)):
        raise UserError(f"Component '{component.name}' could not be started: {fault}") from fault
    missing = component.unpublished(run)
    status = "FINISHED" if exit_code == 0 and not missing else "FAILED"
    run, failure = end_run(run, status, component, log), {"exit_code": exit_code, "log": log}
    start += log.preparing
    return result_of(component, run, run.info.status, start, missing=missing, **failure)


def project_path(folder: Path) -> str:
    """The folder as MLflow takes it: what follows a # would be a folder within the project."""
    return os.path.relpath(folder) if "#" in str(folder) else str(folder)


def wait_for(started: Any, log: Log) -> int:
    """Wait for the end of a component; returns the exit code of its process, or 0 or 1."""
    if not (process := process_of(started)):
        return 0 if started.wait() else 1
    with line_about(log):
        while (exit_code := process.poll()) is None:
            time.sleep(0.02)  # wait() would not notice that the reader of the terminal has gone
    return exit_code


def end_component(started: Any) -> None:
    """End what works for a component; `started` is None if MLflow was still preparing it."""
    if started and not process_of(started):
        started.cancel()
    working = working_for([started.run_id] if started else [])
    working |= {*psutil.Process().children(recursive=True)}
    if started and (process := process_of(started)):  # whose parent may be that of another job
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(process.pid)
            working |= {own, *own.children(recursive=True)}
    end_processes(working)


def run_of(started: Any, pipeline: Run, since: float) -> Run | None:
    """The run of the component started since then; where MLflow fails, it does not tell its id."""
    query = f"tags.`{PARENT_RUN_ID}` = '{pipeline.info.run_id}'"
    query += f" and attributes.start_time >= {int(since * 1000)}"
    runs = MlflowClient().search_runs([pipeline.info.experiment_id], query)
    runs.sort(key=lambda run: bool(started) and run.info.run_id != started.run_id)
    for unknown in runs[1:]:  # a server that went away before it answered has made it
        MlflowClient().delete_run(unknown.info.run_id)
    return runs[0] if runs else None


def end_run(run: Run, status: str, component: Component, log: Log) -> Run:
    """End the run of a component whose process has ended, with its log; returns it as it is now."""
    client, run_id = MlflowClient(), run.info.run_id
    # FINISHED may be overruled: a component can fail after it said that it finished
    if status != "FINISHED" or run.info.status == "RUNNING":
        client.set_terminated(run_id, status)
        client.update_run(run_id, name=component.name)
    log.publish(run_id)
    with component_run(run_id):  # for a component that did not do so itself, being no Python
        pass
    return client.get_run(run_id)
