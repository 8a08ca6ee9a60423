"""MLflow's local backend for projects, with environments made one at a time."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mlflow.projects.backend import loader
from mlflow.projects.backend.local import LocalBackend
from mlflow.projects.submitted_run import LocalSubmittedRun
from mlflow.projects.utils import PROJECT_ENV_MANAGER, PROJECT_SYNCHRONOUS, load_project

from _utils.pipeline.environment import one_at_a_time


class ComponentBackend(LocalBackend):
    """Starts a component, and leaves it to the caller to wait for its end."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: dict[str, str],
        version: str | None,
        backend_config: dict[str, Any],
        tracking_uri: str,
        experiment_id: str,
    ) -> LocalSubmittedRun:
        """As MLflow's own, but what is not to be waited for is no second `mlflow run`."""
        env_manager = backend_config[PROJECT_ENV_MANAGER]
        conda_file = load_project(project_uri).env_config_path
        config = backend_config | {PROJECT_SYNCHRONOUS: True}
        others = (version, config, tracking_uri, experiment_id)
        makes_one = conda_file and env_manager != "local"
        with one_at_a_time(Path(conda_file), env_manager) if makes_one else nullcontext():
            return super().run(project_uri, entry_point, params, *others)


loader.MLFLOW_BACKENDS["local"] = ComponentBackend
