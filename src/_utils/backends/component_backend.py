"""Where a component's command runs: this machine, a node of SLURM, or a pod of Kubernetes."""

import os
import shlex
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mlflow
from mlflow.projects._project_spec import EntryPoint
from mlflow.projects.backend import loader, local
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import LocalSubmittedRun
from mlflow.projects.utils import PROJECT_ENV_MANAGER, PROJECT_SYNCHRONOUS, load_project
from mlflow.utils.os import is_windows

from _utils.pipeline.environments import one_at_a_time

_start = local._run_entry_point
# On the node: the command ($1), which leaves its exit status in a file ($2) that this machine sees
ON_NODE = 'bash -c "$1"; status=$?; echo $status > "$2"; exit $status'
# On this machine: srun ($2 and more). What it exits with is its own, 0 even after some failures of
# a node; a file system that is shared may take a while to show the file ($1)
AROUND_SRUN = """
"${@:2}"
of_srun=$?
for second in 1 2 3 4 5; do
    [ $of_srun = 0 ] && [ ! -s "$1" ] && sleep 1
done
read -r status 2> /dev/null < "$1" && rm "$1" && exit $status
echo "The node did not say how the command ended, so it has failed (srun ended with $of_srun)."
[ $of_srun = 0 ] && exit 1
exit $of_srun
"""


def start(command: str, folder: str, experiment_id: str, run_id: str) -> LocalSubmittedRun:
    """Start a component's command, as MLflow does, but so that it arrives on Windows too.

    MLflow quotes the parameters for cmd, and then lets Python quote the whole once more, with
    backslashes, which mean nothing to cmd. With /s cmd takes off the outer quotes and nothing else.
    """
    if not is_windows():
        return _start(command, folder, experiment_id, run_id)
    variables = local.get_run_env_vars(run_id, experiment_id)
    variables |= local.get_databricks_env_vars(mlflow.get_tracking_uri())
    line = f'cmd /d /s /c "{command}"'
    # The streams are named, for what has taken their place may not be inherited otherwise
    process = subprocess.Popen(line, cwd=folder, env=os.environ | variables, stdout=1, stderr=2)
    return LocalSubmittedRun(run_id, process)


def command_for_bash(entry_point: EntryPoint, params: dict[str, str]) -> str:
    """The command of an MLproject; MLflow would quote parameters for the shell of this machine."""
    given = {name: params.get(name, each.default) for name, each in entry_point.parameters.items()}
    quoted = {name: shlex.quote(str(value)) for name, value in given.items()}
    return entry_point.command.format(**quoted)


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

    srun waits for the command, passes on what it prints, and takes it off the cluster when it is
    ended itself: so it stands for the command on this machine. How the command ended is what the
    node has left in a file. The node has to see this folder, and the environments, at the same
    paths.
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

        def on_node(
            command: str, folder: str, experiment_id: str, run_id: str
        ) -> LocalSubmittedRun:
            variables = local.get_run_env_vars(run_id, experiment_id)
            said = Path(project_uri).absolute().parents[1] / "outputs" / f"exit-status-{run_id}"
            said.parent.mkdir(exist_ok=True)
            srun = ["srun", "--ntasks=1", *given, "bash", "-c", ON_NODE, "node", command, str(said)]
            here = ["bash", "-c", AROUND_SRUN, "srun", str(said), *srun]
            return LocalSubmittedRun(
                run_id, subprocess.Popen(here, cwd=folder, env={**os.environ, **variables})
            )

        usual, local._run_entry_point = local._run_entry_point, on_node
        try:
            return super().run(project_uri, entry_point, params, version, backend_config, *others)
        finally:
            local._run_entry_point = usual


def kubernetes_backend() -> AbstractBackend:
    """The backend whose packages only those have who use it."""
    from _utils.backends.kubernetes_backend import KubernetesBackend

    return KubernetesBackend()


local._run_entry_point = start
# What MLflow adds to a backend_config
MLFLOWS = {value for name, value in vars(local).items() if name.startswith("PROJECT_")}
# MLflow takes no other of a name that it has itself
MLFLOWS_NAMES = {"kubernetes": "kubernetes-job"}
loader.MLFLOW_BACKENDS |= {
    "local": ComponentBackend,
    "slurm": SlurmBackend,
    MLFLOWS_NAMES["kubernetes"]: kubernetes_backend,  # type: ignore[dict-item]
}
