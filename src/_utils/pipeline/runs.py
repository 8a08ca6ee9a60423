"""The pipeline's MLflow runs: of a whole pipeline, and of a sweep's job."""

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, RunTag
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig

from _utils import internals
from _utils.capabilities import load_capability
from _utils.environment import tell, told
from _utils.errors import UserError, explain
from _utils.masking import without_secrets
from _utils.pipeline import record
from _utils.pipeline.dead_runs import LAUNCHER, PROCESS, close_dead_runs, process_tag
from _utils.pipeline.processes import RUN_ID, SWEEP, faults_told, launcher
from _utils.pipeline.report import console
from _utils.pipeline.server import check_machine, open_tracking_store, serve_tracking_store
from _utils.pipeline.summary import PAGE, print_new_data_hint, print_ui_hint
from _utils.project import check_is_active
from _utils.variables import recorded

DEFAULT_EXPERIMENT = "0"
ERROR = "error"  # tag: why a pipeline failed
ABOUT_EXPERIMENT = (
    "Each run is a pipeline; the plus sign in front of it opens the runs of its components. Its "
    "description says what happened, its artifact `overview.html` shows it."
)
MAX_TAG = 5000  # characters; MLflow takes 8000


@contextmanager
def pipeline_run(config: DictConfig) -> Iterator[Run]:
    """The MLflow run that the components are children of; it ends FAILED if anything is raised.

    A fault ends the process (status 1), but no sweep; if no component had started it leaves no run.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; main.py ends.
    """
    typed = record.typed_overrides()
    sweep_id = told(SWEEP)
    if sweep_id:
        run = load_capability("sweeps.jobs", SWEEP).start_job_run(sweep_id)
    else:
        run = start_top_run(config, record.name_of(config.main.steps, typed))
    status = 0
    try:
        mlflow.log_params(record.as_params(typed))
        mlflow.set_tags(
            {record.OVERRIDES: json.dumps(typed), record.VALUES: record.digest_of_values(config)}
        )
        yield run
        mlflow.end_run("FINISHED")
    except Exception as error:
        status = 1
        console.print(f"\n{explain(error)}", style="red", markup=False, highlight=False)
        with suppress(Exception):  # what is wrong is told already
            mlflow.log_text(without_secrets(traceback.format_exc()), "traceback.txt")
            mlflow.set_tag(ERROR, explain(error)[:MAX_TAG])
        with suppress(Exception):
            mlflow.end_run("FAILED")
            if not sweep_id and isinstance(error, UserError) and is_of_no_use(run):
                MlflowClient().delete_run(run.info.run_id)
                sys.exit(status)
    if sweep_id:
        console.quiet = False
    else:
        print_ui_hint(open_tracking_store(), run.info, PAGE)
        if not status:
            print_new_data_hint(config)
        sys.exit(status)


def is_of_no_use(run: Run) -> bool:
    """Whether no component of a failed pipeline has started, so that its run shows nothing."""
    if run.info.run_id == RUN_ID:
        return False  # `mlflow run` made it, and will end it
    of_run = f"tags.`{internals.PARENT_RUN_ID}` = '{run.info.run_id}'"
    return not MlflowClient().search_runs([run.info.experiment_id], of_run, max_results=1)


def start_top_run(config: DictConfig, name: str) -> mlflow.ActiveRun:
    """Start the topmost run; a name that was given by `mlflow run --run-name` wins.

    `mlflow run .` has made a run before main.py starts, but in the experiment "Default", for it
    cannot know the config. A run in an experiment that was chosen with --experiment-name is taken
    as it is.
    """
    with faults_told():
        check_machine(config.main)
        open_tracking_store()
        launched = launched_run()
        tell("MLFLOW_RUN_ID", None)  # else the run of the pipeline would be this one
        tell("MLFLOW_EXPERIMENT_ID", None)
        if launched and launched.info.experiment_id != DEFAULT_EXPERIMENT:
            experiment = mlflow.set_experiment(experiment_id=launched.info.experiment_id)
        else:
            make_experiment(config.main.experiment_name)
            experiment = mlflow.set_experiment(config.main.experiment_name)
        if count := close_dead_runs():
            console.print(f"Marked {count} interrupted runs as KILLED.", style="dim")
    if launched and not internals.is_made_up_name(launched.info.run_name):
        name = launched.info.run_name
    tags = {internals.RUN_NAME: name}
    if launched and launched.info.experiment_id != experiment.experiment_id:
        return take_over(launched, experiment, tags)
    return start_run(tags, run_id=launched.info.run_id if launched else None)


def launched_run() -> Run | None:
    """The run that `mlflow run .` made; raises UserError if its environment is not active."""
    run_id = told("MLFLOW_RUN_ID")
    run = MlflowClient().get_run(run_id) if run_id else None
    check_is_active(env_manager_of(run))
    return run


def take_over(launched: Run, experiment: Experiment, tags: dict[str, str]) -> mlflow.ActiveRun:
    """Start a run in the right experiment, with all that the run of `mlflow run .` has recorded.

    The latter is given a name that says so: MLflow needs it until the end.
    """
    run = start_run(recorded(launched.data.tags) | tags | {LAUNCHER: launched.info.run_id})
    mask_tags(launched)
    mlflow.log_params(recorded(launched.data.params))
    note = f"Only started the run {run.info.run_id} of the experiment '{experiment.name}'."
    name = f"launcher of {experiment.name}"
    tags = {PROCESS: process_tag(launcher()), internals.RUN_NAME: name, internals.RUN_NOTE: note}
    MlflowClient().log_batch(launched.info.run_id, tags=[RunTag(*tag) for tag in tags.items()])
    return run


def start_run(tags: dict[str, str], **options: Any) -> mlflow.ActiveRun:
    """Start a run that this process will end, with no secret in its tags."""
    with internals.outside_notebooks():
        run = mlflow.start_run(tags=tags | {PROCESS: process_tag()}, **options)
    mask_tags(run)
    return run


def make_experiment(name: str) -> None:
    """Let the tracking server create an experiment: it knows the folder for artifacts."""
    if not find_experiment(name):
        serve_tracking_store()
        server = MlflowClient(told("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri()))
        with suppress(MlflowException):  # another pipeline has just created it
            server.create_experiment(name, tags={internals.RUN_NOTE: ABOUT_EXPERIMENT})


def find_experiment(name: str) -> Experiment | None:
    """The experiment of this name, if it is there.

    Raises:
        UserError: It was deleted, and MLflow keeps its name.
    """
    found = mlflow.get_experiment_by_name(name)
    if found and found.lifecycle_stage == LifecycleStage.DELETED:
        raise UserError(
            f"Experiment '{name}' was deleted. Restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or choose another: main.experiment_name=..."
        )
    return found


def mask_tags(run: Run) -> None:
    """Mask the URLs in the tags that MLflow gave a run: that of the git remote may have a token."""
    for name, text in recorded(run.data.tags).items():
        if text != run.data.tags[name]:
            MlflowClient().set_tag(run.info.run_id, name, text)


def env_manager_of(run: Run | None) -> str:
    """The environment manager that the pipeline was started with, and its components run under."""
    return run.data.tags.get(internals.PROJECT_ENV, "local") if run else "local"
