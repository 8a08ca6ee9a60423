"""What the terminal shows at the end of a pipeline: the summary, and why it failed."""

from dataclasses import dataclass, field

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from _utils.command_line import as_line
from _utils.environment import told
from _utils.errors import UserError
from _utils.masking import masked
from _utils.pipeline.log import Log
from _utils.pipeline.processes import SWEEP, reader_is_gone, typed_command

KEY_METRICS = 3  # metrics of a component in the summary
NEW_DATA, NEEDS_NEW_DATA = "data.new_file_url", ("batch_scoring", "monitoring")


class Terminal(Console):
    """The user's terminal; the pipeline ends when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """What rich calls when the reader of its output has gone."""
        self.quiet = True
        reader_is_gone()


console = Terminal(soft_wrap=True)


@dataclass(frozen=True)
class Result:
    """What became of one component."""

    name: str
    status: str  # FINISHED, FAILED or REUSED
    seconds: float
    run_id: str
    metrics: dict[str, float]
    outputs: dict[str, str]  # artifacts that it published: name -> version
    reused_from: str = ""  # id of the finished run that is reused
    exit_code: int | None = None  # None if no process was started
    missing: list[str] = field(default_factory=list)  # artifacts it names but did not publish
    log: Log | None = None

    @property
    def failed(self) -> bool:
        """Whether the pipeline stops here."""
        return self.status not in ("FINISHED", "REUSED")


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
    columns = ["component", "status", "seconds", "run", "source run", "key metrics"]
    table = Table(*columns, title="Pipeline")
    table.columns[0].min_width = max(map(len, planned))  # a name is shown whole
    for result in results:
        color = "red" if result.failed else "green"
        metrics = [f"{name} {value:.4g}" for name, value in result.metrics.items()]
        table.add_row(
            result.name,
            f"[{color}]{result.status}[/]",
            f"{result.seconds:.1f}",
            result.run_id[:8],
            result.reused_from[:8],
            ", ".join(metrics[:KEY_METRICS]),
        )
    for name in planned[len(results) :]:
        table.add_row(name, "[dim]not started[/]")
    console.print(table)


def raise_for_failure(results: list[Result]) -> None:
    """Raise UserError if the last component failed, with the end of a log that was not shown."""
    if not results or not results[-1].failed:
        return
    failed = results[-1]
    code, how = failed.exit_code, f"with exit code {failed.exit_code}"
    if code is None:
        how = "before it started"
    elif code < 0:
        how = f"with exit code {128 - code} (signal {-code})"
    elif code == 0 and failed.missing:
        how = (
            f"to publish {', '.join(failed.missing)}, which its parameters name: "
            "call log_artifact, or remove the parameter"
        )
    lines = [f"Component '{failed.name}' failed {how}."]
    if not failed.log.shown:
        lines += ["Its last lines:", *(f"  | {line}" for line in failed.log.last_lines)]
    lines.append(f"Its whole log: {failed.log.place}")
    if not told(SWEEP):
        lines.append(f"Fix the cause, then continue with: `{as_line(typed_command())}`")
    raise UserError("\n".join(lines))


def print_that_there_is_nothing() -> None:
    """Say how a pipeline without components gets one."""
    cure = "create a component with `cookiecutter cookie-mlflow-step -o src`"
    console.print(f"main.execute_steps of config.yaml is empty: {cure}.", highlight=False)


def print_ui_hint(store_uri: str) -> None:
    """Say how to look at the runs, without the user and password that the URI may have."""
    store_uri = masked(store_uri)
    command = as_line(["mlflow", "ui", "--backend-store-uri", store_uri])
    where = store_uri if store_uri.startswith("http") else command
    console.print(f"See the runs: {where}", markup=False, highlight=False)
    console.print("(choose Model training at the top left, then the experiment)", style="dim")


def print_new_data_hint(config: DictConfig) -> None:
    """Say how to score and monitor new data, after a whole pipeline that leaves this out."""
    planned, there = config.main.execute_steps or [], config.get("components") or {}
    later = [name for name in NEEDS_NEW_DATA if name in there and name not in planned]
    if later and config.main.steps == "all" and OmegaConf.select(config, NEW_DATA) == "":
        command = f'mlflow run . -P steps={",".join(later)} -P hydra_options="{NEW_DATA}=<path>"'
        hint = f"No new data yet. To score and monitor them: {command}"
        console.print(hint, markup=False, highlight=False)
