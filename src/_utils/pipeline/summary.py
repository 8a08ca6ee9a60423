"""What the terminal shows at the end: the summary, where to look, what to do next."""

from pathlib import Path
from urllib.parse import unquote

import mlflow
from mlflow.entities import RunInfo
from omegaconf import DictConfig, OmegaConf
from rich.table import Column, Table

from _utils.command_line import as_line
from _utils.environment import told
from _utils.masking import masked
from _utils.pipeline.processes import typed_command
from _utils.pipeline.report import KEY_METRICS, Result, console, print_that_there_is_nothing

PAGE = "overview.html"  # of a pipeline
NEW_DATA, NEEDS_NEW_DATA = "data.new_file_url", ("batch_scoring", "monitoring")


def print_summary(planned: list[str], results: list[Result], before: dict[str, float]) -> None:
    """Print a table with a row for each planned component.

    Args:
        planned: The names of the components.
        results: Of those that ran or serve again.
        before: The metrics of the last pipeline, as `component.metric`.
    """
    if not planned:
        print_that_there_is_nothing()
        return
    is_apart = any(result.preparing for result in results)
    apart = [Column("environment", min_width=11)] if is_apart else []
    table = Table("component", "status", "seconds", *apart, "key metrics", title="Pipeline")
    table.columns[0].min_width = max(map(len, planned))  # a name is shown whole
    for result in results:
        status = f"[{'red' if result.failed else 'green'}]{result.status}[/]"
        environment = [f"{result.preparing:.1f}" for _ in apart]
        metrics = shown_metrics(result, before)
        table.add_row(result.name, status, f"{result.seconds:.1f}", *environment, metrics)
    for name in planned[len(results) :]:
        table.add_row(name, "[dim]NOT STARTED[/]")
    console.print(table)


def shown_metrics(result: Result, before: dict[str, float]) -> str:
    """The first metrics of a component, each with how it has changed."""
    texts = []
    for name, value in [*result.metrics.items()][:KEY_METRICS]:
        change = value - before.get(f"{result.name}.{name}", value)
        rounded = f"{change:+,.0f}" if abs(change) >= 100 else f"{change:+.2g}"
        texts.append(f"{name} {number(value)}" + (f" ({rounded})" if change else ""))
    return ", ".join(texts)


def number(value: float) -> str:
    """A number as people read it: 1,129 and 0.8303."""
    if abs(value) < 1e15 and value == int(value):  # False for NaN and infinity
        return f"{int(value):,}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def print_ui_hint(store_uri: str, run: RunInfo, page: str) -> None:
    """Say how to look at a page of a run, without the user and password that the URI may have."""
    command, store_uri = "", masked(store_uri)
    if unquote(store_uri) == f"sqlite:///{Path('mlflow.db').absolute().as_posix()}":
        command = "python tasks.py ui, then "
    elif "://" in store_uri and not store_uri.startswith("http"):
        command = f"{as_line(['mlflow', 'ui', '--backend-store-uri', store_uri])}, then "
    address = page_of(run.experiment_id, run.run_id, f"/artifacts/{page}")
    console.print(f"See it: {command}{address}", markup=False, highlight=False)


def page_of(experiment_id: str, run_id: str, place: str = "") -> str:
    """The address of a run in the browser, or of a place in it, past MLflow's pages for GenAI."""
    server = told("MLFLOW_UI") or masked(mlflow.get_tracking_uri())
    run = f"/#/experiments/{experiment_id}/runs/{run_id}{place}"
    return f"{server.rstrip('/')}{run}?workflowType=machine_learning"


def print_new_data_hint(config: DictConfig) -> None:
    """Say how to score and monitor new data, after a whole pipeline that leaves this out."""
    planned, there = config.main.execute_steps or [], config.get("components") or {}
    later = [name for name in NEEDS_NEW_DATA if name in there and name not in planned]
    if later and config.main.steps == "all" and OmegaConf.select(config, NEW_DATA) == "":
        begun = "python tasks.py run" if "tasks.py" in typed_command()[1:2] else "mlflow run ."
        command = f'{begun} -P steps={",".join(later)} -P hydra_options="{NEW_DATA}=<path>"'
        hint = f"No new data yet. To score and monitor them: {command}"
        console.print(hint, markup=False, highlight=False)
