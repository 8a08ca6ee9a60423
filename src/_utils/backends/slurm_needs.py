"""What SLURM needs to run a component; the plan asks before anything runs."""

import shutil
from collections.abc import Iterator

from _utils.pipeline.plan import Component


def faults(component: Component) -> Iterator[str]:
    """What keeps SLURM from running a component."""
    if not shutil.which("srun"):
        yield f"component '{component.name}': backend slurm needs the command srun."
