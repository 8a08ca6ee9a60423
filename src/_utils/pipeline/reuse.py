"""Reuse: a finished run with the same code, environment and pinned parameters serves again.

All that a component's result depends on is its cache key, which its run keeps as `cache_key.json`.
The digest of the key is the run's tag `cache_key`, set when the component has ended well: so a run
that was killed is never taken for a whole one.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run

from _utils import internals
from _utils.artifacts import is_present
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import FINISHED, NEWEST, all_experiments, all_pages, outputs_of
from _utils.artifacts.stores import chosen_place
from _utils.environment import told
from _utils.pipeline.component import Component
from _utils.pipeline.processes import SWEEP
from _utils.pipeline.sources import named_by, sources_of
from _utils.variables import counted

CACHE_KEY = "cache_key"
CACHE_KEY_FILE = "cache_key.json"
REUSED_FROM = "reused_from"
SWEEP_ID = "sweep"  # tag of a run that serves again within that sweep
RECENT = 40  # runs that are looked up at once
COPIED_TAGS = (internals.USER, internals.SOURCE_NAME, internals.SOURCE_TYPE, "job_type")


def decide(
    component: Component, key: dict[str, Any], experiment_id: str, recent: Sequence[Run] = ()
) -> tuple[Run | None, list[str]]:
    """Look for a finished run that can serve again as this component, its inputs pinned.

    A component that always runs does so once in a sweep.

    Returns:
        The run that has the same cache key, if there is one, and why the component runs; if there
        is no reason to, the run serves again.
    """
    run = find_run(component, key, told(SWEEP) if component.must_run else "", recent)
    if component.must_run and not (run and told(SWEEP)):
        return run, [component.must_run]
    return run, [] if run else explain(component, key, experiment_id)


def cache_key(component: Component) -> dict[str, Any]:
    """All that the component's result depends on: the content of files, and its parameters."""
    root = component.folder.parents[1]
    files = [*sources_of(component.folder)[0], *named_by(component.values, component.folder)[0]]
    if component.project.env_file:
        files.append(component.project.env_file)  # usually one of them already
    names = {path: path.relative_to(root) if path.is_relative_to(root) else path for path in files}
    parameters = component.parameters | {"main.artifact_store": chosen_place()}
    return {
        "entry_point": "main",
        "files": {name.as_posix(): digest_of(path)[:12] for path, name in names.items()},
        "parameters": {name: counted(text) for name, text in parameters.items()},
    }


def digest_of_key(key: dict[str, Any]) -> str:
    """SHA-256 of a cache key, 64 hex digits."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def recent_runs() -> list[Run]:
    """The newest finished runs with a cache key: one search, where nothing changed, for them all.

    MLflow cannot search for one key or another, and the key of a component is known only when the
    components before it have run or serve again.
    """
    return [*islice(_finished_runs(f"tags.{CACHE_KEY} != ''", RECENT), RECENT)]


def find_run(
    component: Component, key: dict[str, Any], sweep_id: str = "", recent: Sequence[Run] = ()
) -> Run | None:
    """The newest finished run with this cache key whose artifacts are all still there.

    It is looked for among those of `recent_runs`, then among all.
    """
    tags = {CACHE_KEY: digest_of_key(key)} | ({SWEEP_ID: sweep_id} if sweep_id else {})
    known = (run for run in recent if tags.items() <= run.data.tags.items())
    query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    is_whole = partial(_is_whole, component)
    return next(filter(is_whole, chain(known, _finished_runs(query, 10))), None)


def _finished_runs(query: str, page: int) -> Iterator[Run]:
    """The finished runs of all experiments that a query finds, the newest first."""
    search, query = MlflowClient().search_runs, f"{query} and {FINISHED}"
    yield from all_pages(search, all_experiments(), query, order_by=[NEWEST], max_results=page)


def _is_whole(component: Component, run: Run) -> bool:
    """Tell whether a run published all that it should, and all of that can still be read."""
    outputs, published = outputs_of(run), [k for k in run.data.tags if k.startswith("output.")]
    if len(outputs) < len(published) or component.unpublished(run):
        return False
    try:
        return all(map(is_present, outputs))
    except Exception:  # of a store that cannot be reached
        return False


def explain(component: Component, key: dict[str, Any], experiment_id: str) -> list[str]:
    """Why no run can serve again: what is different from the component's last run."""
    query = f"attributes.run_name = '{component.name}' and tags.{CACHE_KEY} != '' and {FINISHED}"
    last = MlflowClient().search_runs([experiment_id], query, order_by=[NEWEST], max_results=1)
    if not last:
        return ["never ran"]
    try:
        old = mlflow.artifacts.load_dict(f"{last[0].info.artifact_uri}/{CACHE_KEY_FILE}")
    except Exception:  # it lies in a store that cannot be reached, or is gone
        return [f"{CACHE_KEY_FILE} of its last run cannot be read"]
    return differences(old, key) or ["its artifacts are gone, or cannot be reached"]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What is different between two cache keys, a line for each file and parameter."""
    reasons = []
    before, now = old["files"], new["files"]
    for file in sorted(before.keys() | now.keys()):
        if before.get(file) != now.get(file):
            change = "changed" if file in before else "is new"
            reasons.append(f"{file} {change if file in now else 'is no longer an input'}")
    before, now = _leaves(old["parameters"]), _leaves(new["parameters"])
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            values = f"{before.get(name, 'unset')} -> {now.get(name, 'unset')}"
            reasons.append(f"parameter {name} {values}")
    return reasons


def _leaves(parameters: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Parameters by name, those within a JSON object by their dotted names."""
    leaves = {}
    for name, value in parameters.items():
        try:
            inner = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError:
            inner = value
        nested = _leaves(inner, f"{prefix}{name}.") if isinstance(inner, dict) else {}
        leaves |= nested or {f"{prefix}{name}": str(value)}
    return leaves


def make_reusable(run_id: str, key: dict[str, Any]) -> None:
    """Let the run of a component that ended well serve again."""
    client = MlflowClient()
    client.log_dict(run_id, key, CACHE_KEY_FILE)
    if sweep_id := told(SWEEP):
        client.set_tag(run_id, SWEEP_ID, sweep_id)
    client.set_tag(run_id, CACHE_KEY, digest_of_key(key))


def record_reuse(component: Component, source: Run, pipeline: Run) -> str:
    """Make the child run of a reused component, with what its source made; returns its id."""
    client, info, data = MlflowClient(), source.info, source.data
    kept = ("input.", "output.", "artifact.")
    tags = {k: v for k, v in data.tags.items() if k.startswith(kept) or k in COPIED_TAGS}
    page = f"#/experiments/{info.experiment_id}/runs/{info.run_id}"
    tags |= {
        internals.PARENT_RUN_ID: pipeline.info.run_id,
        REUSED_FROM: info.run_id,
        internals.RUN_NOTE: f"Reused: [the source run]({page}) has the figures and the log.",
    }
    run = client.create_run(pipeline.info.experiment_id, tags=tags, run_name=component.name).info
    metrics = [Metric(key, value, run.start_time, 0) for key, value in data.metrics.items()]
    params = [Param(key, value) for key, value in data.params.items()]
    client.log_batch(run.run_id, metrics, params)  # MLflow divides what is too much for a request
    client.set_terminated(run.run_id)
    return run.run_id
