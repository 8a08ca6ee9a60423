"""What the terminal shows: the summary at the end of a pipeline."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from _utils.command_line import as_line
from _utils.masking import masked
from _utils.pipeline.log import Log
from _utils.pipeline.processes import reader_is_gone

KEY_METRICS = 3  # a component's first ones stand in the summary


class Terminal(Console):
    """What people see of the pipeline; it ends when they do not look any more."""

    def on_broken_pipe(self) -> None:
        """What rich calls when the reader of its output has gone."""
        self.quiet = True
        reader_is_gone()


console = Terminal(soft_wrap=True)


@dataclass(frozen=True)
class Result:
    """What became of one component."""

    name: str
    status: str  # MLflow's: FINISHED or FAILED
    seconds: float
    run_id: str
    metrics: dict[str, float]
    outputs: dict[str, str]  # artifacts it made: name -> version
    reused_from: str = ""  # id of the finished run that serves again
    exit_code: int | None = None  # None if there was no process
    missing: list[str] = field(default_factory=list)  # artifacts it names but did not publish
    log: Log | None = None


def value_of(metric: str, results: list[Result]) -> float | None:
    """A metric of a component, as `component.metric`, if there is one."""
    values = {
        f"{each.name}.{key}": value for each in results for key, value in each.metrics.items()
    }
    return values.get(metric)


def print_summary(planned: list[str], results: list[Result]) -> None:
    """Print a table with a row for each planned component."""
    if not planned:
        print_that_there_is_nothing()
        return
    table = Table("component", "status", "seconds", "run", "key metrics", title="Pipeline")
    for result in results:
        color = "green" if result.status == "FINISHED" else "red"
        metrics = [f"{name} {value:.4g}" for name, value in result.metrics.items()]
        status = "reused from" if result.reused_from else result.status
        table.add_row(
            result.name,
            f"[{color}]{status}[/]",
            f"{result.seconds:.1f}",
            (result.reused_from or result.run_id)[:8],
            ", ".join(metrics[:KEY_METRICS]),
        )
    for name in planned[len(results) :]:
        table.add_row(name, "[dim]not started[/]", "", "", "")
    console.print(table)


def print_that_there_is_nothing() -> None:
    """Say how a pipeline without components gets one."""
    make_one = "`cookiecutter cookie-mlflow-step -o src` makes a component"
    console.print(f"main.execute_steps of config.yaml is empty: {make_one}.", highlight=False)


def print_ui_hint(store_uri: str) -> None:
    """Say how to look at the runs, without the user and password that the URI may have."""
    store_uri = masked(store_uri)
    command = as_line(["mlflow", "ui", "--backend-store-uri", store_uri])
    where = store_uri if store_uri.startswith("http") else command
    console.print(f"See the runs: {where}", markup=False, highlight=False)
    console.print("(choose Model training at the top left, then the experiment)", style="dim")
