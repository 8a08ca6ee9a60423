"""What became of the components, why a pipeline failed, and what the terminal says of it."""

from dataclasses import dataclass, field
from textwrap import shorten

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from _utils.command_line import as_line
from _utils.environment import told
from _utils.errors import UserError
from _utils.pipeline.compose import split_options
from _utils.pipeline.log import Log
from _utils.pipeline.processes import SWEEP, reader_is_gone, typed_command

KEY_METRICS = 3  # of a component
MOST_LETTERS = 200  # of a verdict


class Terminal(Console):
    """The user's terminal; the pipeline ends when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """What rich calls when the reader of its output has gone."""
        self.quiet = True
        reader_is_gone()


console = Terminal(soft_wrap=True)


def line_about(log: Log) -> Progress:
    """A line that shows, within `with`, the time and what the component has written last."""
    line = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # the rest of the terminal's width
    last = TextColumn("{task.fields[log].last_line}", "dim", markup=False, table_column=line)
    is_hidden = log.shown or console.quiet or not console.is_interactive
    columns = TextColumn("   "), SpinnerColumn(), TimeElapsedColumn(), last
    progress = Progress(*columns, console=console, transient=True, expand=True, disable=is_hidden)
    progress.add_task("", log=log)
    return progress


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
    why: str = ""  # the component ran
    says: str = ""  # its verdict, in a sentence

    @property
    def verdict(self) -> str:
        """What it says, on a line or two."""
        return shorten(self.says, MOST_LETTERS, placeholder=" ...")

    @property
    def preparing(self) -> float:
        """Seconds that MLflow took for the environment; not counted in `seconds`."""
        return self.log.preparing if self.log else 0.0

    @property
    def failed(self) -> bool:
        """Whether the pipeline stops here."""
        return self.status not in ("FINISHED", "REUSED")


def metrics_to_compare(result: Result, objective: str | None) -> dict[str, float]:
    """The key metrics of a component and the objective, for the run of its pipeline."""
    named = {f"{result.name}.{key}": value for key, value in result.metrics.items()}
    chosen = [*named][:KEY_METRICS]
    return {key: value for key, value in named.items() if key in chosen or key == objective}


def value_of(metric: str, results: list[Result]) -> float | None:
    """A metric of a component, as `component.metric`, if there is one."""
    values = {f"{each.name}.{key}": n for each in results for key, n in each.metrics.items()}
    return values.get(metric)


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
        lines.append(f"Fix the cause, then continue with: `{how_to_continue()}`")
    raise UserError("\n".join(lines))


def how_to_continue() -> str:
    """The command that was typed: what has finished serves again."""
    return as_line(typed_command())


def command_with(overrides: list[str]) -> str:
    """The command that runs the pipeline with these overrides, begun like the one that was typed.

    After `python tasks.py run` a user may have no `mlflow` on the PATH, nor packages in `python`.
    """
    if typed_command()[1:2] != ["tasks.py"]:
        return as_line(["python", "main.py", *overrides])
    options = " ".join(f"'{each}'" if len(split_options(each)) > 1 else each for each in overrides)
    return as_line(["python", "tasks.py", "run", "-P", f"hydra_options={options}"])


def print_that_there_is_nothing() -> None:
    """Say how a pipeline without components gets one."""
    cure = "create a component with `cookiecutter cookie-mlflow-step -o src`"
    console.print(f"main.execute_steps of config.yaml is empty: {cure}.", highlight=False)
