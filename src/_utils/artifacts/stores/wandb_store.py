"""Artifacts kept at Weights & Biases, and a W&B run beside each component's MLflow run.

Both runs have the same id. The version of an artifact is one of its aliases at W&B, so
`name:version` names it there too. wandb is imported only when it is needed.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import gettempdir
from types import ModuleType
from typing import TYPE_CHECKING

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME

from _utils.artifacts.digests import digest_of
from _utils.environment import tell, told
from _utils.errors import UserError
from _utils.masking import masked, masked_text
from _utils.tabular.fetch import path_in

if TYPE_CHECKING:
    from wandb import Run

    from _utils.artifacts.index import Artifact

PACKAGE = "wandb"  # what the conda.yml of a component has to have
SCHEME = "wandb://"  # then entity/project/artifact:version/file
PATIENCE = 20  # seconds that the server may take to answer
URL = "wandb.url"  # tag: the page of the W&B run


def faults() -> list[str]:
    """What keeps it from working: package, mode, key, or server."""
    instead = "or keep artifacts in MLflow: main.artifact_store=mlflow."
    if not find_spec("wandb"):
        return [f"W&B: the package wandb is missing: install it (`pip install wandb`), {instead}"]
    wandb = _wandb()
    settings = wandb.setup().settings
    server, mode = settings.base_url, settings.mode
    if mode in ("offline", "disabled", "dryrun"):
        return [
            f"W&B is {mode}, where no component gets what another has made: set WANDB_MODE=online, "
            f"{instead}"
        ]
    with redirect_stderr(StringIO()):  # it says that it will not be there for ever
        key = wandb.api.api_key  # of the environment, or where `wandb login` keeps keys
    if not key:
        return [f"W&B has no key for {server}: `wandb login`, or set WANDB_API_KEY, {instead}"]
    try:
        query = {"query": "query Viewer { viewer { username } }"}
        answer = requests.post(f"{server}/graphql", json=query, auth=("api", key), timeout=PATIENCE)
        if answer.ok and answer.json()["data"]["viewer"]:
            return []
        reason = f"HTTP {answer.status_code}"
        if answer.ok or answer.status_code in (401, 403):
            reason += ", the key is not valid"
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
    return [
        f"W&B: {server} does not let us in ({reason}): check the network, WANDB_BASE_URL and the "
        f"key (`wandb login --relogin`), {instead}"
    ]


def put(path: Path, artifact: Artifact) -> str:
    """Upload the bytes as a W&B artifact of the component's run; returns where they are."""
    wandb = _wandb()
    new = wandb.Artifact(
        artifact.name,
        type=artifact.type,
        description=artifact.description,
        metadata={"sha256": artifact.digest, "mlflow_run": artifact.run_id},
    )
    (new.add_dir if path.is_dir() else new.add_file)(str(path), name=path.name)
    with _open_run(artifact.run_id) as run:
        try:
            logged = run.log_artifact(new, aliases=[artifact.version]).wait()
        except ValueError as error:  # W&B knows the name with another type
            raise UserError(f"W&B: {error}. Use that type, or another name.") from error
    entity_and_project = logged.qualified_name.rpartition("/")[0]
    return f"{SCHEME}{entity_and_project}/{artifact.name}:{logged.version}/{path.name}"


def get(artifact: Artifact, folder: Path) -> tuple[Path, str]:
    """Download the bytes."""
    wandb = _wandb()
    try:
        found = wandb.Api(timeout=PATIENCE).artifact(_name(artifact.uri))
        path = path_in(Path(found.download(root=str(folder))), artifact.uri.rpartition("/")[-1])
    except (wandb.errors.Error, ValueError) as error:
        cure = "Check the network and the key (`wandb login`), then run the same command again."
        raise UserError(f"W&B: {artifact.uri} cannot be had: {error}. {cure}") from error
    return path, digest_of(path)


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    wandb = _wandb()
    try:
        return wandb.Api(timeout=PATIENCE).artifact(_name(artifact.uri)).size == artifact.size
    except wandb.errors.Error as error:
        if "not found" in str(error):
            return False
        raise


@contextmanager
def component_run(run_id: str) -> Iterator[None]:
    """A W&B run as long as the component works; in the end it gets what MLflow was told.

    A component that is no Python has none while it works; main.py makes it afterwards.
    """
    client = MlflowClient()
    if URL in client.get_run(run_id).data.tags:
        yield
        return
    with _open_run(run_id) as run:
        client.set_tag(run_id, URL, run.url)
        print(f"W&B: {run.url}")
        try:
            yield
        finally:
            _copy_to(run, run_id)
        if client.get_run(run_id).info.status in ("FAILED", "KILLED"):
            run.finish(exit_code=1)


@contextmanager
def _open_run(run_id: str) -> Iterator[Run]:
    """The W&B run that is open in this process, or else one for the time of this.

    A component may have several processes, such as the kernel of a notebook.
    """
    wandb = _wandb()
    if wandb.run and wandb.run.id == run_id:
        yield wandb.run
        return
    client = MlflowClient()
    known = client.get_run(run_id)
    experiment = client.get_experiment(known.info.experiment_id)
    server = masked(told("MLFLOW_UI", mlflow.get_tracking_uri()))
    page = f"{server}/#/experiments/{experiment.experiment_id}/runs/{run_id}"
    with wandb.init(
        id=run_id,
        resume="allow",
        project=told("WANDB_PROJECT"),
        group=told("WANDB_RUN_GROUP", experiment.name),
        job_type=re.split(r"[/\\#]", known.data.tags.get(MLFLOW_SOURCE_NAME, ""))[-1],  # the folder
        name=known.info.run_name,
        notes=f"The same run in MLflow: {page}",
        config={"mlflow_run": page},
        dir=gettempdir(),
        settings=wandb.Settings(silent=True),
    ) as run:
        yield run


def _copy_to(run: Run, run_id: str) -> None:
    """Let W&B have the parameters, the metrics and the inputs that MLflow has."""
    client = MlflowClient()
    known = client.get_run(run_id)
    params = {name: masked_text(value) for name, value in known.data.params.items()}
    run.config.update(params, allow_val_change=True)
    rows: dict[int, dict[str, float]] = defaultdict(dict)
    for name in known.data.metrics:
        for metric in client.get_metric_history(run_id, name):
            rows[metric.step][name] = metric.value
    if run.step:  # the component has logged by itself, and W&B takes no earlier steps
        run.summary.update(known.data.metrics)
    else:
        for step in sorted(rows):
            run.log(rows[step], step=step)
    for used in known.inputs.dataset_inputs:
        uri = json.loads(used.dataset.source).get("uri", "")
        if uri.startswith(SCHEME):
            run.use_artifact(_name(uri))


def _name(uri: str) -> str:
    """What W&B calls the artifact: `entity/project/artifact:version`."""
    return uri.removeprefix(SCHEME).rpartition("/")[0]


def _wandb() -> ModuleType:
    tell("WANDB_FINISH_TIMEOUT", "120", unless_set=True)  # else for ever, if the server has gone
    for variable in ("WANDB_DEBUG", "WANDB_CORE_DEBUG"):
        tell(variable, None)  # they would write the key into W&B's logs
    try:
        import wandb
    except ImportError as error:
        raise UserError(f"Package wandb is missing ({error}): add it to conda.yml.") from error
    return wandb
