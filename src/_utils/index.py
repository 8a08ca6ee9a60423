"""The index of artifacts: which versions there are, and where their bytes lie.

The version of an artifact is the first 12 hex digits of the SHA-256 of its content. The index is
MLflow itself: the run that made an artifact carries the tags `output.<name>` (the version) and
`artifact.<name>` (all that is known of it), the run that used it carries `input.<name>`.
"""

import json
import re
from dataclasses import asdict, dataclass
from operator import itemgetter

from mlflow import MlflowClient
from mlflow.entities import Run

from _utils.errors import UserError

LATEST = "latest"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"[0-9a-f]{12}")
NEWEST = "attributes.end_time DESC"
FINISHED = "attributes.status = 'FINISHED'"
LISTED = 5  # versions or names that an error lists


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
    """Put an artifact into the index, as made by its run; returns it."""
    client, tag = MlflowClient(), json.dumps(asdict(artifact))
    client.set_tag(artifact.run_id, f"artifact.{artifact.name}", tag)
    # The version comes last: before it nothing refers to the bytes.
    client.set_tag(artifact.run_id, f"output.{artifact.name}", artifact.version)
    return artifact


def find_artifact(name: str, version: str, experiment_id: str | None = None) -> Artifact:
    """Look an artifact up among the finished runs.

    `latest` is the newest published in that experiment, or in any if none is given. A digest says
    what the bytes are, and an alias was given on purpose: those may come from any experiment.

    Raises:
        UserError: It is not there; the message lists what is.
    """
    where = all_experiments()
    wanted = f"tags.`output.{name}` = '{version}'"
    if version == LATEST:
        where = [experiment_id] if experiment_id else where
        wanted = f"tags.`output.{name}` != ''"
    elif not DIGEST.fullmatch(version):
        wanted = ""
    if found := _finished(where, wanted, 1) if wanted else _with_alias(name, version):
        return next(artifact for artifact in outputs_of(found[0]) if artifact.name == name)
    if version == LATEST:
        raise UserError(
            f"'{name}:{LATEST}' was never published in this experiment: run the component that "
            f"makes it first, one with a parameter ..._artifact={name}, or all of them with "
            f"steps=all. {_what_is_there(name, where)}"
        )
    raise UserError(f"Artifact '{name}:{version}' was never published. {_what_is_there(name)}")


def _what_is_there(name: str, where: list[str] | None = None) -> str:
    """The newest versions of an artifact; if it has none, the names that there are."""
    where = where or all_experiments()
    known = _finished(where, f"tags.`output.{name}` != ''", 50)
    if versions := dict.fromkeys(run.data.tags[f"output.{name}"] for run in known):
        return f"Versions of it: {', '.join([*versions][:LISTED])}."
    runs = _finished(where, "attributes.run_name != ''", 100)
    names = dict.fromkeys(artifact.name for run in runs for artifact in outputs_of(run))
    return f"Artifacts there: {', '.join([*names][:LISTED]) or 'none'}."


def _finished(where: list[str], wanted: str, limit: int, order: str = NEWEST) -> list[Run]:
    query = f"{wanted} and {FINISHED}"
    return MlflowClient().search_runs(where, query, order_by=[order], max_results=limit)


def alias_tag(name: str, alias: str) -> str:
    """The tag of a run whose artifact got this alias; of several the last that got it counts."""
    return f"alias.{name}/{alias}"


def _with_alias(name: str, alias: str) -> list[Run]:
    """The run whose artifact got this alias last, alone, if there is one."""
    tags = [alias_tag(name, alias), f"alias.{name}:{alias}"]  # older ones: Windows has no colons
    found = [
        (run.data.tags[tag], run)
        for tag in tags
        for run in _finished(all_experiments(), f"tags.`{tag}` != ''", 1, f"tags.`{tag}` DESC")
    ]
    return [max(found, key=itemgetter(0))[1]] if found else []


def all_experiments() -> list[str]:
    """The ids of the store's experiments."""
    return [experiment.experiment_id for experiment in MlflowClient().search_experiments()]


def outputs_of(run: Run) -> list[Artifact]:
    """The artifacts that a run published."""
    tags = run.data.tags
    before_stores = {"run_id": run.info.run_id, "store": "mlflow"}  # older tags lack these
    return [
        Artifact(**before_stores | json.loads(tags[f"artifact.{key.removeprefix('output.')}"]))
        for key in tags
        if key.startswith("output.")
    ]
