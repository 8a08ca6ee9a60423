"""Where a component's command runs: this machine, a node of SLURM, or a pod of Kubernetes."""

import os
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mlflow.projects.backend import loader, local
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import LocalSubmittedRun
from mlflow.projects.utils import PROJECT_ENV_MANAGER, PROJECT_SYNCHRONOUS, load_project

from _utils.pipeline.environment import one_at_a_time


class ComponentBackend(local.LocalBackend):
    """MLflow's own, with environments made one at a time."""

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


class SlurmBackend(ComponentBackend):
    """Runs the command on a node, through `srun`.

    srun waits for the command, passes on what it prints and how it ends, and takes it off the
    cluster when it is ended itself: so it stands for the command on this machine. The node has to
    see this folder, and the environments, at the same paths.
    """

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: dict[str, str],
        version: str | None,
        backend_config: dict[str, Any],
        *others: Any,
    ) -> LocalSubmittedRun:
        """As on this machine; `backend_config` has srun's options, `partition` for --partition."""
        options = {key: value for key, value in backend_config.items() if key not in MLFLOWS}
        given = [f"--{key}" + ("" if on is True else f"={on}") for key, on in options.items()]

        def start(command: str, folder: str, experiment_id: str, run_id: str) -> LocalSubmittedRun:
            variables = local.get_run_env_vars(run_id, experiment_id)
            srun = ["srun", "--ntasks=1", *given, "bash", "-c", command]
            return LocalSubmittedRun(
                run_id, subprocess.Popen(srun, cwd=folder, env={**os.environ, **variables})
            )

        here, local._run_entry_point = local._run_entry_point, start
        try:
            return super().run(project_uri, entry_point, params, version, backend_config, *others)
        finally:
            local._run_entry_point = here


def kubernetes_backend() -> AbstractBackend:
    """The backend whose packages only those have who use it."""
    from _utils.backends.kubernetes_backend import KubernetesBackend

    return KubernetesBackend()


# What MLflow adds to a backend_config
MLFLOWS = {value for name, value in vars(local).items() if name.startswith("PROJECT_")}
# MLflow takes no other of a name that it has itself
MLFLOWS_NAMES = {"kubernetes": "kubernetes-job"}
loader.MLFLOW_BACKENDS |= {
    "local": ComponentBackend,
    "slurm": SlurmBackend,
    MLFLOWS_NAMES["kubernetes"]: kubernetes_backend,  # type: ignore[dict-item]
}
