"""The index of artifacts: which versions exist, and where their bytes are.

The index is MLflow itself: the run that published an artifact has the tags `output.<name>` (the
version) and `artifact.<name>` (the whole record), a run that used it has the tag `input.<name>`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from _utils.environment import told
from _utils.errors import UserError

LATEST = "latest"
PINNED = "ARTIFACTS_PINNED"  # variable: main.py has replaced `latest` and aliases by versions
MODEL_TYPE = "model"  # the type of artifacts that are executed when they are loaded
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# What no file name can have in some store's URIs, or on Windows, where aux.csv is a device
FORBIDDEN = re.compile(r'(?i)[\x00-\x1f#%?*:"<>|\\]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)')
DIGEST = re.compile(r"[0-9a-f]{12}")
TAKEN = re.compile(r"[0-9a-f]{12}|v\d+")  # looks like a version, here or at W&B
NEWEST = "attributes.end_time DESC"
FINISHED = "attributes.status = 'FINISHED'"


@dataclass(frozen=True)
class Artifact:
    """One version of an artifact, as its record in the run that published it."""

    name: str
    digest: str  # SHA-256 of the content, 64 hex digits
    uri: str  # where the bytes are
    size: int  # bytes
    type: str
    description: str
    run_id: str  # the run that published it
    store: str  # the store that has the bytes
    snapshot: str = ""  # the user's own id of the content, if the digest is that of the id

    @property
    def version(self) -> str:
        """The first 12 hex digits of the digest."""
        return self.digest[:12]

    @property
    def reference(self) -> str:
        """How parameters name this version."""
        return f"{self.name}:{self.version}"


def check_name(name: str) -> str:
    """Return the name; raise UserError if an artifact cannot have it."""
    if NAME.fullmatch(name) and not FORBIDDEN.search(name):
        return name
    raise UserError(
        f"'{name}' cannot be an artifact's name: use letters, digits, '_', '-' and '.', no dot at "
        "the end, and no name that Windows reserves, such as CON or aux.csv."
    )


def parse_reference(reference: str) -> tuple[str, str]:
    """Split `name:version`, where the version may be `latest` or an alias."""
    name, _, version = reference.partition(":")
    if not NAME.fullmatch(name) or not NAME.fullmatch(version):
        raise UserError(
            f"'{reference}' is not an artifact reference: write <name>:{LATEST}, <name>:<alias> or "
            "<name>:<version>, where the version has 12 hex digits."
        )
    return name, version


def current_run_id() -> str:
    """The run that this process works for: the active one, or the one MLflow launched it for."""
    if run := mlflow.active_run():
        return run.info.run_id
    if run_id := told("MLFLOW_RUN_ID"):
        return run_id
    raise UserError("No MLflow run is active: start one with mlflow.start_run() first.")


def enter(artifact: Artifact) -> Artifact:
    """Put an artifact into the index, and return it."""
    set_tag, name = MlflowClient().set_tag, artifact.name
    record = asdict(artifact) | {"description": artifact.description[:1000]}  # a tag takes 8000
    set_tag(artifact.run_id, f"artifact.{name}", json.dumps(record, ensure_ascii=False))
    set_tag(artifact.run_id, f"output.{name}", artifact.version)  # last: searches look for it
    return artifact


def outputs_of(run: Run) -> list[Artifact]:
    """The artifacts that a run published, or took over from the run that was reused."""
    records = (value for key, value in run.data.tags.items() if key.startswith("artifact."))
    return [Artifact(**json.loads(record)) for record in records]


def versions_of(run: Run | None) -> dict[str, str]:
    """The artifacts that a run published, if there is a run: name -> version."""
    return {each.name: each.version for each in outputs_of(run)} if run else {}


def find_artifact(name: str, version: str, experiment_id: str | None = None) -> Artifact:
    """Look up an artifact that a finished run published; raise UserError if there is none.

    `latest` is the newest in the experiment, or in all experiments if none is given. A digest or an
    alias is looked up in all experiments.
    """
    return next(find_copies(name, version, experiment_id))


def find_copies(name: str, version: str, experiment_id: str | None = None) -> Iterator[Artifact]:
    """As `find_artifact`, but each place of the bytes: first in the experiment, then the newest."""
    search, everywhere = MlflowClient().search_runs, all_experiments()
    own = [experiment_id] if experiment_id else everywhere
    where, tag, value, order = everywhere, f"output.{name}", "!= ''", NEWEST
    if version == LATEST:
        where = own
    elif DIGEST.fullmatch(version):
        value = f"= '{version}'"
    else:
        tag = alias_tag(name, version)
        order = f"tags.`{tag}` DESC"
    query = f"tags.`{tag}` {value} and {FINISHED}"
    if not (runs := search(where, query, max_results=1, order_by=[order])):
        raise _not_found(name, version, query, where)
    query = f"tags.`output.{name}` = '{runs[0].data.tags[f'output.{name}']}' and {FINISHED}"
    places = set()
    for where in (own, everywhere):
        for run in all_pages(search, where, query, order_by=[NEWEST], max_results=10):
            artifact = next(each for each in outputs_of(run) if each.name == name)
            if artifact.uri not in places:
                places.add(artifact.uri)
                yield artifact


def _not_found(name: str, version: str, query: str, where: list[str]) -> UserError:
    """The error if no finished run has an artifact: how to get it, or what exists instead."""
    search, message = MlflowClient().search_runs, f"Artifact '{name}:{version}' was "
    anywhere = where if version == LATEST else all_experiments(ViewType.ALL)
    if deleted := search(anywhere, query, ViewType.DELETED_ONLY, 1, [NEWEST]):
        info = deleted[0].info
        return UserError(
            f"{message}deleted with run {info.run_id}: restore the run with `mlflow runs restore "
            f"--run-id {info.run_id}`, or if its experiment was deleted, `mlflow experiments "
            f"restore --experiment-id {info.experiment_id}`."
        )
    runs = search(where, FINISHED, order_by=[NEWEST])
    outputs = [artifact for run in runs for artifact in outputs_of(run)]
    found = dict.fromkeys(each.reference for each in outputs if each.name == name)
    found = found or dict.fromkeys(each.name for each in outputs)
    message += "never published"
    if version == LATEST:
        message += " in this experiment: first run the component that makes it, or steps=all"
    return UserError(f"{message}. Available: {', '.join([*found][:5]) or 'no artifacts'}.")


def alias_tag(name: str, alias: str) -> str:
    """The tag of a run whose artifact got this alias; the last run that got it counts."""
    return f"alias.{name}/{alias}"


def all_experiments(view: int = ViewType.ACTIVE_ONLY) -> list[str]:
    """The ids of all experiments of the tracking store."""
    return [each.experiment_id for each in all_pages(MlflowClient().search_experiments, view)]


def all_pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
    """The results of a search of MLflow's client, page after page as they are needed."""
    page = search(*arguments, **options)
    yield from page
    while page.token:
        page = search(*arguments, **options, page_token=page.token)
        yield from page
