"""SLURM: a component's command runs on a node, through `srun`."""

from pathlib import Path
from typing import Any

from _utils.pipeline.backend import LocalBackend, start_process

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


class Backend(LocalBackend):
    """Runs the command on a node, through `srun`.

    srun waits for the command, passes on what it prints, and takes it off the cluster when it is
    ended itself: so it stands for the command on this machine. How the command ended is what the
    node has left in a file. The node has to see this folder, and the environments, at the same
    paths.
    """

    def start(self, command: str, folder: str, experiment_id: str, run_id: str) -> Any:
        """Start the command; `backend_config` has srun's options, `partition` for --partition."""
        given = [f"--{key}" + ("" if on is True else f"={on}") for key, on in self.options.items()]
        said = Path(folder).absolute().parents[1] / "outputs" / f"exit-status-{run_id}"
        said.parent.mkdir(exist_ok=True)
        srun = ["srun", "--ntasks=1", *given, "bash", "-c", ON_NODE, "node", command, str(said)]
        here = ["bash", "-c", AROUND_SRUN, "srun", str(said), *srun]
        return start_process(here, folder, experiment_id, run_id)
