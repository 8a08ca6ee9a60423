"""Reuse: a finished run with the same code, environment and pinned parameters serves again.

All that a component's result depends on is its cache key, which its run keeps as `cache_key.json`.
The digest of it is the run's tag `cache_key`, set when the component has ended well: so a run that
was killed is never taken for a whole one.
"""

import hashlib
import json
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.projects.utils import load_project
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from _utils.artifacts import is_present
from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import all_experiments, all_pages, outputs_of
from _utils.artifacts.stores import chosen_place
from _utils.environment import told
from _utils.pipeline.plan import Component
from _utils.pipeline.runs import SWEEP
from _utils.pipeline.sources import named_by, sources_of
from _utils.variables import counted

CACHE_KEY = "cache_key"
CACHE_KEY_FILE = "cache_key.json"
REUSED_FROM = "reused_from"
LARGEST_BATCH = 100  # parameters that MLflow takes at once
COPIED_TAGS = (MLFLOW_USER, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, "job_type")


@dataclass(frozen=True)
class Decision:
    """Whether a component runs or is reused, and why."""

    run: Run | None  # the finished run that has the same, if there is one
    reasons: list[str]  # why it runs; none if `run` serves again

    @property
    def versions(self) -> dict[str, str]:
        """The artifacts that `run` made: name -> version."""
        return {each.name: each.version for each in outputs_of(self.run)} if self.run else {}


def decide(component: Component, key: dict[str, Any], experiment_id: str) -> Decision:
    """Look for a finished run that can serve again as this component, its inputs pinned.

    What has to run in any case does so once in a sweep.
    """
    sweep_id = told(SWEEP)
    if component.must_run and sweep_id and (run := find_run(component, key, sweep_id)):
        return Decision(run, [])
    run = find_run(component, key)
    if component.must_run:
        return Decision(run, [component.must_run])
    return Decision(run, [] if run else explain(component, key, experiment_id))


def one_job_at_a_time(key: dict[str, Any]) -> AbstractContextManager:
    """Within this no other job of a sweep works on a component with the same cache key."""
    if not told(SWEEP):
        return nullcontext()
    folder = Path(HydraConfig.get().sweep.dir) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / digest_of_key(key)[:12])


def cache_key(component: Component) -> dict[str, Any]:
    """All that the component's result depends on: the content of files, and its parameters."""
    root = component.folder.parents[1]
    project = load_project(str(component.folder))
    files = [*sources_of(component.folder)[0], *named_by(component.values, component.folder)[0]]
    if project.env_config_path:  # usually one of them already
        files.append(Path(os.path.normpath(project.env_config_path)))
    names = {path: path.relative_to(root) if path.is_relative_to(root) else path for path in files}
    digests = {name.as_posix(): digest_of(path)[:12] for path, name in names.items()}
    parameters = component.parameters | {"main.artifact_store": chosen_place()}
    parameters = {name: counted(text) for name, text in parameters.items()}
    return {"entry_point": "main", "files": digests, "parameters": parameters}


def digest_of_key(key: dict[str, Any]) -> str:
    """SHA-256 of a cache key, 64 hex digits."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def find_run(component: Component, key: dict[str, Any], sweep_id: str = "") -> Run | None:
    """The newest finished run with this cache key whose artifacts are all still there."""
    of_sweep = f" and tags.sweep = '{sweep_id}'" if sweep_id else ""
    runs = all_pages(
        MlflowClient().search_runs,
        all_experiments(),
        f"tags.{CACHE_KEY} = '{digest_of_key(key)}' and attributes.status = 'FINISHED'{of_sweep}",
        order_by=["attributes.end_time DESC"],
        max_results=10,
    )
    return next((run for run in runs if _is_whole(component, run)), None)


def _is_whole(component: Component, run: Run) -> bool:
    """Tell whether all that a run published is known and there, and all that it declares."""
    outputs, published = (
        outputs_of(run),
        [key for key in run.data.tags if key.startswith("output.")],
    )
    try:
        return (
            len(outputs) == len(published)
            and not component.unpublished(run)
            and all(map(is_present, outputs))
        )
    except Exception:  # of a store that cannot be reached
        return False


def explain(component: Component, key: dict[str, Any], experiment_id: str) -> list[str]:
    """Why no run can serve again: what is different from the component's last one."""
    last = MlflowClient().search_runs(
        [experiment_id],
        f"attributes.run_name = '{component.name}' and attributes.status = 'FINISHED' "
        f"and tags.{CACHE_KEY} != ''",
        order_by=["attributes.end_time DESC"],
        max_results=1,
    )
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
    for file in sorted(old["files"].keys() | new["files"].keys()):
        if file not in new["files"]:
            reasons.append(f"{file} is gone")
        elif file not in old["files"]:
            reasons.append(f"{file} is new")
        elif old["files"][file] != new["files"][file]:
            reasons.append(f"{file} changed")
    before, after = _leaves(old["parameters"]), _leaves(new["parameters"])
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            values = f"{before.get(name, 'unset')} -> {after.get(name, 'unset')}"
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
        if isinstance(inner, dict):
            leaves |= _leaves(inner, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = str(value)
    return leaves


def make_reusable(run_id: str, key: dict[str, Any]) -> None:
    """Let the run of a component that ended well serve again."""
    client = MlflowClient()
    client.log_dict(run_id, key, CACHE_KEY_FILE)
    if sweep_id := told(SWEEP):
        client.set_tag(run_id, "sweep", sweep_id)
    client.set_tag(run_id, CACHE_KEY, digest_of_key(key))


def record_reuse(component: Component, source: Run, pipeline: Run) -> str:
    """Make the child run that stands for a reused component, with what its source made.

    Returns:
        Its id.
    """
    client, of_source = MlflowClient(), source.info
    kept = ("input.", "output.", "artifact.")
    tags = {
        name: value
        for name, value in source.data.tags.items()
        if name.startswith(kept) or name in COPIED_TAGS
    }
    page = f"#/experiments/{of_source.experiment_id}/runs/{of_source.run_id}"
    tags |= {
        MLFLOW_PARENT_RUN_ID: pipeline.info.run_id,
        REUSED_FROM: of_source.run_id,
        MLFLOW_RUN_NOTE: f"Reused: [the run it comes from]({page}) has the figures and the log.",
    }
    run = client.create_run(pipeline.info.experiment_id, tags=tags, run_name=component.name)
    started = run.info.start_time
    metrics = [Metric(key, value, started, 0) for key, value in source.data.metrics.items()]
    params = [Param(key, value) for key, value in source.data.params.items()]
    client.log_batch(run.info.run_id, metrics, params[:LARGEST_BATCH])
    for first in range(LARGEST_BATCH, len(params), LARGEST_BATCH):
        client.log_batch(run.info.run_id, params=params[first : first + LARGEST_BATCH])
    client.set_terminated(run.info.run_id)
    return run.info.run_id
