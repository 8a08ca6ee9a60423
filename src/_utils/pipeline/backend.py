"""Where a component's command runs: on this machine, or where another backend takes it.

What a backend in `_utils/backends` has to offer:

- Its module has a class `Backend` with MLflow's `run(project_uri, entry_point, params, version,
  backend_config, tracking_uri, experiment_id)`. BACKENDS names the modules; one that was deleted is
  not registered, and one that is there is imported when a component runs on it.
- `run` returns MLflow's SubmittedRun with one more attribute, `output`: a file such as
  `Popen(stdout=PIPE).stdout` or `os.fdopen(<reading end of os.pipe()>, "rb")`. A thread reads it
  until it ends: that is the component's log, shown as it comes.
- A backend whose command is a process of this machine, as srun is, derives from LocalBackend and
  overrides `start`, which calls `start_process` with another command line. `self.options` is then
  what `main.backend_config` says. Its exit code is that of the component.
"""

import os
import subprocess
from functools import partial
from typing import Any

from _utils.capabilities import has_capability, load_capability
from _utils.environment import told
from _utils.internals import backend_parts, start_commands_by
from _utils.pipeline.warm import start_component

BACKENDS = {"slurm": "backends.slurm", "kubernetes": "backends.kubernetes"}
# MLflow has backends of these names itself, and takes no other for them
MLFLOWS_NAMES = {"kubernetes": "kubernetes-job"}

local, loader = backend_parts()


class LocalBackend(local.LocalBackend):  # type: ignore[misc, name-defined]
    """MLflow's own, but the output of the command is read."""

    options: dict[str, Any]  # main.backend_config, without what MLflow adds to it

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: dict[str, str],
        version: str | None,
        backend_config: dict[str, Any],
        *others: Any,
    ) -> Any:
        """As MLflow's own, but the command is a child of this process, not of a `mlflow run`."""
        mlflows = {value for name, value in vars(local).items() if name.startswith("PROJECT_")}
        self.options = {k: value for k, value in backend_config.items() if k not in mlflows}
        config = backend_config | {local.PROJECT_SYNCHRONOUS: True}
        start_commands_by(self.start)
        return super().run(project_uri, entry_point, params, version, config, *others)

    def start(self, command: str, folder: str, experiment_id: str, run_id: str) -> Any:
        """Start the command, in the shell for which MLflow has quoted it.

        On Windows MLflow would let Python quote it once more, with backslashes, which mean nothing
        to cmd. With /s cmd takes off the outer quotes and nothing else.
        """
        words = f'cmd /d /s /c "{command}"' if local.is_windows() else ["bash", "-c", command]
        return start_process(words, folder, experiment_id, run_id, command)


def start_process(
    words: str | list[str], folder: str, experiment_id: str, run_id: str, command: str = ""
) -> Any:
    """Start a command line in this folder, which works for this run; returns a SubmittedRun.

    Args:
        words: The command line.
        folder: Where it works.
        experiment_id: Of the run.
        run_id: The run.
        command: What bash is to run, if it may start warm.
    """
    server = told("MLFLOW_TRACKING_URI", local.mlflow.get_tracking_uri())
    variables = {**os.environ, **local.get_run_env_vars(run_id, experiment_id)}
    variables["MLFLOW_TRACKING_URI"] = server
    variables |= local.get_databricks_env_vars(local.mlflow.get_tracking_uri())
    process = start_component(command, folder, variables) or subprocess.Popen(
        words, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    started = local.LocalSubmittedRun(run_id, process)
    started.output = process.stdout
    return started


def _load(name: str) -> Any:
    return load_capability(BACKENDS[name], f"backend={name}").Backend()


loader.MLFLOW_BACKENDS["local"] = LocalBackend
loader.MLFLOW_BACKENDS |= {
    MLFLOWS_NAMES.get(name, name): partial(_load, name)
    for name, module in BACKENDS.items()
    if has_capability(module)
}
