"""The plan as text: what would run or be reused, and why; and as a graph for Mermaid."""

import tempfile
from pathlib import Path

import mlflow
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.markup import escape

from _utils.artifacts.index import LATEST, parse_reference, versions_of
from _utils.environment import tell
from _utils.pipeline.component import Component
from _utils.pipeline.config import read_config
from _utils.pipeline.plan import make_plan
from _utils.pipeline.processes import faults_told
from _utils.pipeline.report import console, print_that_there_is_nothing
from _utils.pipeline.reuse import cache_key, decide, recent_runs
from _utils.pipeline.runs import env_manager_of, find_experiment, launched_run
from _utils.pipeline.server import check_machine, open_tracking_store, sqlite_file

NO_EXPERIMENT = "-1"  # an id that no experiment has


def show_plan(config: DictConfig, root: Path) -> None:
    """Print what a run with this config would do, or the graph of it; nothing runs."""
    with faults_told(), tempfile.TemporaryDirectory() as folder:
        check_machine(config.main)
        if (database := sqlite_file()) and not database.exists():
            # Windows cannot remove a file that a connection has open
            tell("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
            mlflow.set_tracking_uri(f"sqlite:///{folder}/empty.db")
        open_tracking_store()
        experiment = find_experiment(config.main.experiment_name)
        experiment_id = experiment.experiment_id if experiment else NO_EXPERIMENT
        env_manager = env_manager_of(launched_run())
        plan = make_plan(read_config(config), root, experiment_id, env_manager)
        if config.main.plan == "mermaid":
            print(as_mermaid(plan))
            return
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            print(f"Job {HydraConfig.get().job.override_dirname}")
        print_decisions(plan, experiment_id)


def print_decisions(plan: list[Component], experiment_id: str) -> None:
    """Print two lines for each component: run or reuse, and why; its inputs and outputs.

    A component that is sure to run is expected to publish the same artifacts as its last run with
    the same cache key. Without such a run its artifacts are not known, and what uses them runs.
    """
    if not plan:
        print_that_there_is_nothing()
    pins: dict[str, str] = {}  # name:latest -> version
    expected: dict[str, str] = {}
    recent = recent_runs()
    for component in plan:
        component = component.pinned(pins).with_models_pinned()
        new = [ref for ref in component.inputs.values() if ref.endswith(f":{LATEST}")]
        versions: dict[str, str] = {}
        if new and not component.must_run:
            reasons = [f"{parse_reference(reference)[0]} will be new" for reference in new]
        else:
            run, reasons = decide(component, cache_key(component), experiment_id, recent)
            versions = versions_of(run)
        pins |= {f"{name}:{LATEST}": version for name, version in versions.items()}
        expected |= versions if reasons else {}
        action = "[yellow]run  [/]" if reasons else "[green]reuse[/]"
        why = "; ".join(reasons) or f"same as run {run.info.run_id}"
        console.print(f"{action} [bold]{component.name}[/]  {escape(why)}", highlight=False)
        inputs = [reference.replace(f":{LATEST}", ":?") for reference in component.inputs.values()]
        outputs = [f"{name}:{versions.get(name, '?')}" for name in component.outputs.values()]
        flow = f"{', '.join(inputs)} -> {', '.join(outputs)}".strip(" ->" if not outputs else " ")
        console.print(f"      {flow}", style="dim", markup=False, highlight=False)
    if expected:
        same = ", ".join(f"{name}:{version}" for name, version in expected.items())
        console.print(f"(if what runs publishes the same again: {same})", style="dim")


def as_mermaid(plan: list[Component]) -> str:
    """The components, and the artifacts between them, as text for a ```mermaid block."""
    lines = ["flowchart TD"]
    ids: dict[str, str] = {}

    def node(name: str) -> str:
        is_new = name not in ids
        number = ids.setdefault(name, f"artifact{len(ids)}")
        return f'{number}(["{name}"])' if is_new else number

    for number, component in enumerate(plan):
        lines.append(f'    component{number}["{component.name}"]')
        used = dict.fromkeys(parse_reference(each)[0] for each in component.inputs.values())
        lines += [f"    {node(name)} --> component{number}" for name in used]
        lines += [f"    component{number} --> {node(name)}" for name in component.outputs.values()]
    return "\n".join(lines)
