"""The index of artifacts: which versions there are, and where their bytes lie.

The version of an artifact is the first 12 hex digits of the SHA-256 of its content. The index is
MLflow itself: the run that made an artifact carries the tags `output.<name>` (the version) and
`artifact.<name>` (all that is known of it), the run that used it carries `input.<name>`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.store.entities.paged_list import PagedList

from _utils.errors import UserError

LATEST = "latest"
PINNED = "ARTIFACTS_PINNED"  # variable: main.py has given each input of a component its version
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"[0-9a-f]{12}")
NEWEST = "attributes.end_time DESC"
FINISHED = "attributes.status = 'FINISHED'"
LISTED = 5  # versions, names or copies that an error lists
MAX_TAG = 8000  # characters; MLflow cuts off the rest


@dataclass(frozen=True)
class Artifact:
    """One version of an artifact, as its producer's tags tell it."""

    name: str
    digest: str  # SHA-256 of the content, 64 hex digits
    uri: str  # where the bytes are
    size: int  # bytes
    type: str
    description: str
    run_id: str  # of the run that made it
    store: str  # where its bytes are kept: mlflow, wandb or reference
    snapshot: str = ""  # the user's own id of the content, if the digest is of that

    @property
    def version(self) -> str:
        """The first 12 hex digits of the digest."""
        return self.digest[:12]

    @property
    def reference(self) -> str:
        """What names this version everywhere: `<name>:<version>`."""
        return f"{self.name}:{self.version}"

    @property
    def folder(self) -> str:
        """Where its bytes lie in a run or a storage, and no other content: `<name>/<version>`."""
        return f"{self.name}/{self.version}"


def check_name(name: str) -> str:
    """The name, if an artifact can have it; raises UserError if not."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be an artifact's name: use letters, digits, '_', '-' and '.'."
        )
    return name


def parse_reference(reference: str) -> tuple[str, str]:
    """Split `name:version`; the version may be `latest` or an alias.

    Raises:
        UserError: Either half is not allowed.
    """
    name, _, version = reference.partition(":")
    if not NAME.fullmatch(name) or not NAME.fullmatch(version):
        raise UserError(
            f"'{reference}' names no artifact: write <name>:{LATEST}, <name>:<alias> or "
            "<name>:<version>, the version being 12 hex digits."
        )
    return name, version


def enter(artifact: Artifact) -> Artifact:
    """Put an artifact into the index, as made by its run; returns it.

    Raises:
        UserError: What is known of it does not fit into a tag.
    """
    client = MlflowClient()
    client.set_tag(artifact.run_id, f"artifact.{artifact.name}", record_of(artifact))
    # The version comes last: before it nothing refers to the bytes.
    client.set_tag(artifact.run_id, f"output.{artifact.name}", artifact.version)
    return artifact


def record_of(artifact: Artifact) -> str:
    """All that is known of an artifact, as JSON that fits into a tag.

    A description that is too long is shortened, for it is for readers only.

    Raises:
        UserError: The rest is too long.
    """
    kept = artifact.description
    while len(record := json.dumps(asdict(artifact), ensure_ascii=False)) > MAX_TAG and kept:
        kept = kept[: len(kept) * 9 // 10]
        artifact = replace(artifact, description=f"{kept}…")
    if len(record) > MAX_TAG:
        raise UserError(
            f"Artifact '{artifact.name}' cannot be recorded: its URI, type and snapshot take "
            f"{len(record)} characters, more than the {MAX_TAG} of a tag of MLflow: shorten them."
        )
    return record


def find_artifact(name: str, version: str, experiment_id: str | None = None) -> Artifact:
    """Look an artifact up among the finished runs.

    `latest` is the newest published in that experiment, or in any if none is given. A digest says
    what the bytes are, and an alias was given on purpose: those may come from any experiment.

    Raises:
        UserError: It is not there; the message lists what is.
    """
    return next(find_copies(name, version, experiment_id))


def find_copies(name: str, version: str, experiment_id: str | None = None) -> Iterator[Artifact]:
    """All places where an artifact's bytes lie, those of the experiment first, then the newest.

    Raises:
        UserError: There is none; as `find_artifact`.
    """
    exact = version if DIGEST.fullmatch(version) else _resolve(name, version, experiment_id)
    wanted = f"tags.`output.{name}` = '{exact}' and {FINISHED}"
    search, everywhere = MlflowClient().search_runs, all_experiments()
    places, unreadable = set(), ""
    for where in [[experiment_id], everywhere] if experiment_id else [everywhere]:
        for run in all_pages(search, where, wanted, order_by=[NEWEST], max_results=10):
            found = next((each for each in outputs_of(run) if each.name == name), None)
            if not found:
                unreadable = run.info.run_id
            elif found.uri not in places:
                places.add(found.uri)
                yield found
    if unreadable and not places:
        raise UserError(
            f"The record of artifact '{name}:{exact}' in run {unreadable} cannot be read: make it "
            "again, by running the component that does with main.rerun=[<component>]."
        )
    if not places:
        raise _never_published(name, version, wanted, everywhere)


def _resolve(name: str, version: str, experiment_id: str | None) -> str:
    """The version that `latest` or an alias stands for."""
    where, search = all_experiments(), MlflowClient().search_runs
    tags = [
        alias_tag(name, version),
        f"alias.{name}:{version}",
    ]  # older ones: Windows has no colons
    if version == LATEST:
        where, tags = [experiment_id] if experiment_id else where, [f"output.{name}"]
    found = []
    for tag in tags:
        order = NEWEST if version == LATEST else f"tags.`{tag}` DESC"
        runs = search(where, f"tags.`{tag}` != '' and {FINISHED}", order_by=[order], max_results=1)
        found += [(run.data.tags[tag], run.data.tags[f"output.{name}"]) for run in runs]
    if not found:
        raise _never_published(name, version, f"tags.`{tags[0]}` != '' and {FINISHED}", where)
    return max(found)[1]


def _never_published(name: str, version: str, wanted: str, where: list[str]) -> UserError:
    """What to raise if no run that is there has published this: what is there instead."""
    client, anywhere = MlflowClient(), where
    if version != LATEST:
        anywhere = [each.experiment_id for each in _experiments(ViewType.ALL)]
    deleted = client.search_runs(anywhere, wanted, ViewType.DELETED_ONLY, 1, [NEWEST])
    if deleted:
        return _was_deleted(f"{name}:{version}", deleted[0])
    search, options = client.search_runs, {"order_by": [NEWEST], "max_results": 100}
    of_name = all_pages(search, where, f"tags.`output.{name}` != '' and {FINISHED}", **options)
    if versions := _first(run.data.tags[f"output.{name}"] for run in of_name):
        there = f"Versions of it: {', '.join(versions)}."
    else:
        runs = all_pages(search, where, FINISHED, **options)
        names = _first(artifact.name for run in runs for artifact in outputs_of(run))
        there = f"Artifacts there: {', '.join(names) or 'none'}."
    if version == LATEST:
        return UserError(
            f"'{name}:{LATEST}' was never published in this experiment: run the component that "
            f"makes it first, one with a parameter ..._artifact={name}, or all of them with "
            f"steps=all. {there}"
        )
    return UserError(f"Artifact '{name}:{version}' was never published. {there}")


def _was_deleted(reference: str, run: Run) -> UserError:
    """What to raise if the run that published an artifact was deleted, as in MLflow's UI."""
    run_id, experiment_id = run.info.run_id, run.info.experiment_id
    experiment = MlflowClient().get_experiment(experiment_id)
    what, command = f"run {run_id}", f"mlflow runs restore --run-id {run_id}"
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        what = f"experiment '{experiment.name}'"
        command = f"mlflow experiments restore --experiment-id {experiment_id}"
    return UserError(
        f"Artifact '{reference}' was deleted with the {what} that published it: restore it with "
        f"`{command}`, or make it again."
    )


def _first(values: Iterator[str]) -> list[str]:
    """The first different ones, as many as an error lists."""
    found: list[str] = []
    while len(found) < LISTED and (value := next(values, None)):
        found += [value] * (value not in found)
    return found


def alias_tag(name: str, alias: str) -> str:
    """The tag of a run whose artifact got this alias; of several the last that got it counts."""
    return f"alias.{name}/{alias}"


def all_experiments() -> list[str]:
    """The ids of the store's experiments."""
    return [experiment.experiment_id for experiment in _experiments(ViewType.ACTIVE_ONLY)]


def _experiments(view: int) -> Iterator[Experiment]:
    return all_pages(MlflowClient().search_experiments, view)


def all_pages(search: Callable[..., PagedList], *arguments: Any, **options: Any) -> Iterator[Any]:
    """What a search of MLflow's client finds: not the first page alone, each as it is needed."""
    page = search(*arguments, **options)
    yield from page
    while page.token:
        page = search(*arguments, **options, page_token=page.token)
        yield from page


def outputs_of(run: Run) -> list[Artifact]:
    """The artifacts that a run published, but for those whose record cannot be read."""
    names = (key.removeprefix("output.") for key in run.data.tags if key.startswith("output."))
    return [artifact for name in names if (artifact := _read(run, name))]


def _read(run: Run, name: str) -> Artifact | None:
    before_stores = {"run_id": run.info.run_id, "store": "mlflow"}  # older tags lack these
    try:
        return Artifact(**before_stores | json.loads(run.data.tags[f"artifact.{name}"]))
    except (KeyError, TypeError, ValueError):  # cut off, or written by hand
        return None
