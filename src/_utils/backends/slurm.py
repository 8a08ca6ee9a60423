"""SLURM: the command of a component runs on a node, through `srun`."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _utils.pipeline.backend import LocalBackend, start_process
from _utils.pipeline.component import Component

# On the node: the command ($1), whose exit status becomes a file ($2) that this machine sees
ON_NODE = 'bash -c "$1"; status=$?; echo $status > "$2"; exit $status'
# On this machine: srun ($2 and more), whose own exit status is 0 even after some failures of a
# node. On a shared file system the file ($1) may appear late
AROUND_SRUN = """
"${@:2}"
of_srun=$?
for second in 1 2 3 4 5; do
    [ $of_srun = 0 ] && [ ! -s "$1" ] && sleep 1
done
read -r status 2> /dev/null < "$1" && rm "$1" && exit $status
echo "The node left no exit status of the command, so it has failed (srun: status $of_srun)."
[ $of_srun = 0 ] && exit 1
exit $of_srun
"""


def faults(component: Component) -> Iterator[str]:
    """What keeps the component from running on a node."""
    if not shutil.which("srun"):
        yield (
            f"component '{component.name}': backend slurm needs the command srun: start the "
            "pipeline on a machine of the cluster."
        )


class Backend(LocalBackend):
    """Runs the command on a node, which sees this folder and the environments at the same paths.

    srun waits for the command, passes on what it prints, and cancels it when srun itself is ended.
    The exit status is that of the command, which the node leaves in a file.
    """

    def start(self, command: str, folder: str, experiment_id: str, run_id: str) -> Any:
        """Start the command; `backend_config` has srun's options, `partition` for --partition."""
        options = [
            f"--{key}" if value is True else f"--{key}={value}"
            for key, value in self.options.items()
        ]
        status_file = Path(folder).absolute().parents[1] / "outputs" / f"exit-status-{run_id}"
        status_file.parent.mkdir(exist_ok=True)
        on_node = ["bash", "-c", ON_NODE, "node", command, str(status_file)]
        srun = ["srun", "--ntasks=1", *options, *on_node]
        here = ["bash", "-c", AROUND_SRUN, "srun", str(status_file), *srun]
        return start_process(here, folder, experiment_id, run_id)
