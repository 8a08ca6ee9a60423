"""What became of the components, why a pipeline failed, and what the terminal says of it."""

from dataclasses import dataclass, field

from rich.console import Console

from _utils.command_line import as_line
from _utils.environment import told
from _utils.errors import UserError
from _utils.pipeline.log import Log
from _utils.pipeline.processes import SWEEP, reader_is_gone, typed_command


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
    why: str = ""  # the component ran
    says: str = ""  # its verdict, in a sentence

    @property
    def preparing(self) -> float:
        """Seconds that MLflow took for the environment; not counted in `seconds`."""
        return self.log.preparing if self.log else 0.0

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


def print_that_there_is_nothing() -> None:
    """Say how a pipeline without components gets one."""
    cure = "create a component with `cookiecutter cookie-mlflow-step -o src`"
    console.print(f"main.execute_steps of config.yaml is empty: {cure}.", highlight=False)
