"""What a pipeline's run shows to those who open it: its description, and the page overview.html."""

import re
from collections.abc import Iterator
from contextlib import suppress
from html import escape
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from _utils import pages
from _utils.artifacts.index import FINISHED, NEWEST, parse_reference
from _utils.environment import told
from _utils.internals import PARENT_RUN_ID, RUN_NOTE
from _utils.masking import without_secrets
from _utils.pages.graph import Step, draw_graph
from _utils.pipeline.alarm import alarms, command_of_alarm
from _utils.pipeline.component import Component
from _utils.pipeline.processes import SWEEP
from _utils.pipeline.record import OVERRIDES
from _utils.pipeline.report import Result, console, how_to_continue, raise_for_failure
from _utils.pipeline.summary import PAGE, page_of, print_summary, shown_metrics
from _utils.variables import recorded

MOST_FIGURES, LARGEST = 8, 1_000_000  # bytes
STILL_AN_ALARM = (
    "The model is retrained with the new data, but these still differ from the older ones: wait "
    "for more new data, or change the limits of the alarm."
)
REGISTERED = "registered_model"  # parameter: the name under which a model is registered
COLUMNS = {
    "component": "",
    "status": "",
    "seconds": "how long it took, or took to look up",
    "key metrics": "in brackets: the change since the last pipeline of this experiment",
    "it says": "",
}


def conclude(plan: list[Component], results: list[Result], pipeline: Run) -> None:
    """Print the summary, and publish page and description; of a sweep's many jobs there are none.

    Raises:
        UserError: A component failed.
    """
    before = {} if told(SWEEP) else metrics_before(pipeline)
    if results:
        says, tone = headline(results)
        color = "red" if tone == pages.BAD else "green"
        console.print(f"\n{says}", style=f"bold {color}", markup=False, highlight=False)
    print_summary([component.name for component in plan], results, before)
    if alarms(results) and is_retraining(pipeline):
        console.print(STILL_AN_ALARM, style="yellow", markup=False, highlight=False)
    if results and not told(SWEEP):
        mlflow.log_text(as_page(plan, results, pipeline, before), PAGE)
        mlflow.set_tag(RUN_NOTE, as_markdown(results, pipeline, before))
    raise_for_failure(results)


def metrics_before(pipeline: Run) -> dict[str, float]:
    """The metrics of the last pipeline in the same experiment, as `component.metric`."""
    query = f"tags.{OVERRIDES} != '' and {FINISHED}"
    experiment = [pipeline.info.experiment_id]
    runs = MlflowClient().search_runs(experiment, query, max_results=1, order_by=[NEWEST])
    return runs[0].data.metrics if runs else {}


def headline(results: list[Result]) -> tuple[str, str]:
    """What became of the pipeline in a sentence, and the tone of that."""
    if results[-1].failed:
        return f"Failed: {results[-1].name}", pages.BAD
    if raised := alarms(results):
        says = [each.says.partition("; ")[0] or f"{each.name} raised an alarm" for each in raised]
        return "; ".join(says), pages.BAD
    reused = sum(result.status == "REUSED" for result in results)
    also = f", {reused} of them reused" if reused else ""
    return f"All {len(results)} components finished{also}", pages.GOOD


def as_page(
    plan: list[Component], results: list[Result], pipeline: Run, before: dict[str, float]
) -> str:
    """The page: verdict and what to do, graph, results, what changed, figures."""
    says, tone = headline(results)
    title = f"{pipeline.info.run_name}, run {pipeline.info.run_id[:8]}"
    rows = (
        [
            pages.link(result.name, page_of(pipeline.info.experiment_id, result.run_id)),
            result.status,
            f"{result.seconds:.1f}",
            shown_metrics(result, before),
            result.verdict,
        ]
        for result in results
    )
    escaped = ([first, *map(escape, rest)] for first, *rest in rows)
    reasons = dict.fromkeys(result.why for result in results if result.why)
    names = {why: ", ".join(each.name for each in results if each.why == why) for why in reasons}
    return pages.page(
        title,
        says,
        what_to_do(results, is_retraining(pipeline)),
        pages.section("Components and artifacts", draw_graph([*steps(plan, results)])),
        pages.section("Results", pages.table(COLUMNS, escaped)),
        pages.section("Why components ran", pages.pairs(names)),
        pages.section("Figures", *figures(results)),
        tone=tone,
    )


def is_retraining(pipeline: Run) -> bool:
    """Whether an alarm of another pipeline has led to this one."""
    return PARENT_RUN_ID in pipeline.data.tags and not told(SWEEP)


def what_to_do(results: list[Result], is_second: bool = False) -> str:
    """What answers a failure or an alarm, as HTML: a command, but not a second time."""
    if results[-1].failed:
        command = without_secrets(how_to_continue())
        return pages.text("Fix the cause, then continue with:") + pages.command(command)
    if alarms(results) and is_second:
        return pages.text(STILL_AN_ALARM)
    if alarms(results):
        return pages.text("To retrain with the new data:") + pages.command(command_of_alarm())
    return ""


def steps(plan: list[Component], results: list[Result]) -> Iterator[Step]:
    """The components for the graph; those that did not start, too."""
    started = {result.name: result for result in results}
    registered: set[str] = set()  # names of models in the registry
    for component in plan:
        result = started.get(component.name)
        shown = recorded(component.parameters)  # no value from the environment, no password
        models = {model_of(shown[key]): shown[key] for key in component.of_type("model")}
        versions = result.outputs if result else {}
        outputs = {name: versions.get(name, "") for name in component.outputs.values()}
        if new := {shown.get(REGISTERED, "")} - {"", *models, *registered}:
            outputs |= dict.fromkeys(new, "in the registry")
            registered |= new
        yield Step(
            component.name,
            result.status.lower() if result else "waiting",
            f"{result.seconds:.1f} s" if result else "",
            [*(parse_reference(each)[0] for each in component.inputs.values()), *models],
            outputs,
            {Path(shown[key]).name: shown[key] for key in component.of_type("url", "path")}
            | {name: uri for name, uri in models.items() if name not in registered},
        )


def model_of(uri: str) -> str:
    """The name of the model in `models:/name@alias`."""
    return re.split("[/@]", uri.removeprefix("models:/"))[0]


def figures(results: list[Result]) -> Iterator[str]:
    """The pictures that components have logged at the top of their artifacts, as HTML."""
    left = MOST_FIGURES
    for result in results:
        run_id = result.reused_from or result.run_id
        with suppress(Exception):  # of a store that cannot be reached
            for file in mlflow.artifacts.list_artifacts(run_id=run_id):
                if left and file.path.endswith(".png") and (file.file_size or 0) < LARGEST:
                    place = mlflow.artifacts.download_artifacts(
                        run_id=run_id, artifact_path=file.path
                    )
                    name = Path(file.path).stem.replace("_", " ")
                    yield pages.image(Path(place).read_bytes(), f"{result.name}: {name}")
                    left -= 1


def as_markdown(results: list[Result], pipeline: Run, before: dict[str, float]) -> str:
    """The description of the pipeline's run, which MLflow shows above everything else."""
    heads = "| component | status | seconds | key metrics |\n|---|---|---|---|"
    lines = [f"**{headline(results)[0]}**", "", heads]
    for result in results:
        run = f"#/experiments/{pipeline.info.experiment_id}/runs/{result.run_id}"
        name = f"[{result.name}]({run}?workflowType=machine_learning)"
        metrics = shown_metrics(result, before)
        lines.append(f"| {name} | {result.status} | {result.seconds:.1f} | {metrics} |")
    says = [f"- {result.name}: {result.verdict}" for result in results if result.says]
    return "\n".join([*lines, "", *says, "", f"`{PAGE}` has the graph and the figures."])
