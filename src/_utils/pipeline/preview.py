"""The plan as text: what would run or be reused, and why; and the graph of it."""

import tempfile
from pathlib import Path

import mlflow
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.markup import escape
from sqlalchemy.engine import make_url

from _utils.artifacts.index import LATEST
from _utils.pipeline.doctor import check_machine
from _utils.pipeline.graph import as_mermaid, as_svg
from _utils.pipeline.plan import Component, as_latest, make_plan
from _utils.pipeline.report import console, print_that_there_is_nothing
from _utils.pipeline.reuse import cache_key, decide
from _utils.pipeline.runs import faults_told, find_experiment
from _utils.pipeline.server import serve_tracking_store

NOWHERE = "-1"  # stands for an experiment that is not there yet: nothing was published in it
DRAWINGS = {"mermaid": as_mermaid, "svg": as_svg}


def show_plan(config: DictConfig, root: Path) -> None:
    """Print what a run with this config would do, or draw it; nothing is run or recorded."""
    with faults_told(), tempfile.TemporaryDirectory() as folder:
        check_machine(config.main)
        database = make_url(mlflow.get_tracking_uri()).database
        if mlflow.get_tracking_uri().startswith("sqlite") and not Path(database).exists():
            mlflow.set_tracking_uri(f"sqlite:///{folder}/empty.db")
        serve_tracking_store()
        experiment = find_experiment(config.main.experiment_name)
        experiment_id = experiment.experiment_id if experiment else NOWHERE
        plan = make_plan(config, root, experiment_id)
        if config.main.plan in DRAWINGS:
            print(DRAWINGS[config.main.plan](plan))
        else:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                print(f"Job {HydraConfig.get().job.override_dirname}")
            print_decisions(plan, experiment_id)


def print_decisions(plan: list[Component], experiment_id: str) -> None:
    """Print two lines for each component: run or reuse, and why; its inputs and outputs.

    One that is sure to run is expected to make the same artifacts as its last run with the same
    cache key; where there is none, what it makes is not known yet, and what uses that has to run.
    """
    if not plan:
        print_that_there_is_nothing()
    made: dict[str, str] = {}
    expected: dict[str, str] = {}
    for component in plan:
        component = component.pinned(made).with_models_pinned()
        new = [ref for ref in component.inputs.values() if ref.endswith(f":{LATEST}")]
        versions: dict[str, str] = {}
        if new and not component.must_run:
            reasons = [f"{reference.partition(':')[0]} is made anew" for reference in new]
        else:
            decision = decide(component, cache_key(component), experiment_id)
            reasons, versions = decision.reasons, decision.versions
        made |= dict(zip(as_latest(versions), versions.values(), strict=True))
        expected |= versions if reasons else {}
        action = "[yellow]run  [/]" if reasons else "[green]reuse[/]"
        why = "; ".join(reasons) or f"same as run {decision.run.info.run_id}"
        console.print(f"{action} [bold]{component.name}[/]  {escape(why)}", highlight=False)
        inputs = [reference.replace(f":{LATEST}", ":?") for reference in component.inputs.values()]
        outputs = [f"{name}:{versions.get(name, '?')}" for name in component.outputs.values()]
        flow = f"{', '.join(inputs)} -> {', '.join(outputs)}".strip(" ->" if not outputs else " ")
        console.print(f"      {flow}", style="dim", markup=False, highlight=False)
    if expected:
        same = ", ".join(f"{name}:{version}" for name, version in expected.items())
        console.print(f"(provided that what runs makes the same again: {same})", style="dim")
