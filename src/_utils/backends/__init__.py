"""Where a component runs: on this machine, on a node of SLURM, or in a pod of Kubernetes."""

import shlex

from mlflow.projects._project_spec import EntryPoint


def command_for_bash(entry_point: EntryPoint, params: dict[str, str]) -> str:
    """The command of an MLproject; MLflow would quote parameters for the shell of this machine."""
    given = {name: params.get(name, each.default) for name, each in entry_point.parameters.items()}
    quoted = {name: shlex.quote(str(value)) for name, value in given.items()}
    return entry_point.command.format(**quoted)
