"""Artifacts kept at Weights & Biases, and a W&B run beside each component's MLflow run.

Both runs have the same id. The version of an artifact is one of its aliases at W&B, so
`name:version` names it there too. wandb is imported only when it is needed.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient

from _utils.artifacts.digests import digest_of
from _utils.environment import tell, told
from _utils.internals import SOURCE_NAME
from _utils.masking import masked, masked_text

if TYPE_CHECKING:
    from wandb import Run

    from _utils.artifacts.index import Artifact

PACKAGE = "wandb"
SCHEME = "wandb://"  # then entity/project/artifact:version/file
PATIENCE = 10  # seconds that the server may take to answer
URL = "wandb.url"  # tag: the page of the W&B run


def place() -> str:
    """The W&B project that new bytes go to."""
    return told("WANDB_PROJECT")


def faults() -> list[str]:
    """What keeps the store from working: package, mode, key, or server."""
    server = masked(told("WANDB_BASE_URL", "https://api.wandb.ai"))
    try:
        wandb = _wandb()
        mode, _ = wandb.setup().settings.mode, wandb.Api(timeout=PATIENCE).viewer
        if mode not in ("offline", "disabled", "dryrun"):
            return []
        reason = f"mode {mode} hands no artifacts to other components, set WANDB_MODE=online"
    except Exception as error:  # of the package, the key, the network or the server
        reason = str(error).rstrip(".")
    return [
        f"W&B at {server}: {reason}. Check the key (`wandb login`, or set WANDB_API_KEY), the "
        "package wandb, WANDB_BASE_URL and the network, or use main.artifact_store=mlflow."
    ]


def put(path: Path, artifact: Artifact) -> str:
    """Upload the bytes as a W&B artifact of the component's run; returns their URI."""
    new = _wandb().Artifact(
        artifact.name,
        type=artifact.type,
        description=artifact.description,
        metadata={"sha256": artifact.digest, "mlflow_run": artifact.run_id},
    )
    (new.add_dir if path.is_dir() else new.add_file)(str(path), name=path.name)
    with _open_run(artifact.run_id) as run:
        logged = run.log_artifact(new, aliases=[artifact.version]).wait()
    project = logged.qualified_name.rpartition("/")[0]
    return f"{SCHEME}{project}/{artifact.name}:{logged.version}/{path.name}"


def get(artifact: Artifact) -> tuple[Path, str]:
    """Download the bytes."""
    folder = _artifact(artifact.uri).download(root=tempfile.mkdtemp(prefix="artifact-"))
    path = Path(folder) / artifact.uri.rpartition("/")[2]
    return path, digest_of(path)


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes are still there, by their number."""
    try:
        return _artifact(artifact.uri).size == artifact.size
    except _wandb().errors.Error as error:
        if "not found" in str(error):
            return False
        raise


@contextmanager
def component_run(run_id: str) -> Iterator[None]:
    """A W&B run while the component works; at the end it gets what the MLflow run has.

    A component that is not Python has none while it works; main.py makes it afterwards.
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
    """The W&B run that is open in this process, or one that is open within this context.

    A component may have several processes, such as the kernel of a notebook.
    """
    wandb, client = _wandb(), MlflowClient()
    if wandb.run and wandb.run.id == run_id:
        yield wandb.run
        return
    of_mlflow = client.get_run(run_id)
    server = masked(told("MLFLOW_UI") or mlflow.get_tracking_uri())
    page = f"{server}/#/experiments/{of_mlflow.info.experiment_id}/runs/{run_id}"
    with wandb.init(
        id=run_id,
        resume="allow",
        project=told("WANDB_PROJECT") or None,
        group=told("WANDB_RUN_GROUP") or None,
        job_type=re.split(r"[/\\#]", of_mlflow.data.tags.get(SOURCE_NAME, ""))[-1],  # the folder
        name=of_mlflow.info.run_name,
        notes=f"The same run in MLflow: {page}",
        dir=tempfile.gettempdir(),
        settings=wandb.Settings(silent=True),
    ) as run:
        yield run


def _copy_to(run: Run, run_id: str) -> None:
    """Copy parameters, metrics and inputs of the MLflow run to the W&B run."""
    client = MlflowClient()
    of_mlflow = client.get_run(run_id)
    params = {name: masked_text(value) for name, value in of_mlflow.data.params.items()}
    run.config.update(params, allow_val_change=True)
    rows: dict[int, dict[str, float]] = defaultdict(dict)
    for name in of_mlflow.data.metrics:
        for metric in client.get_metric_history(run_id, name):
            rows[metric.step][name] = metric.value
    for step in sorted(rows) if not run.step else []:  # W&B takes no steps before those it has
        run.log(rows[step], step=step)
    run.summary.update(of_mlflow.data.metrics)
    for used in of_mlflow.inputs.dataset_inputs:
        uri = json.loads(used.dataset.source).get("uri", "")
        if uri.startswith(SCHEME):
            run.use_artifact(_name(uri))


def _artifact(uri: str) -> Any:
    return _wandb().Api(timeout=PATIENCE).artifact(_name(uri))


def _name(uri: str) -> str:
    """What W&B calls the artifact: `entity/project/artifact:version`."""
    return uri.removeprefix(SCHEME).rpartition("/")[0]


def _wandb() -> ModuleType:
    tell("WANDB_FINISH_TIMEOUT", "120", unless_set=True)  # seconds; else for ever without a server
    for variable in ("WANDB_DEBUG", "WANDB_CORE_DEBUG"):  # would write the key into W&B's logs
        tell(variable, None)
    import wandb

    return wandb
