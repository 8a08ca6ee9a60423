"""What Kubernetes needs to run a component; the plan asks before anything runs."""

import importlib.util
import shutil
from collections.abc import Iterator

from _utils.pipeline.plan import Component


def faults(component: Component) -> Iterator[str]:
    """What keeps a component from becoming a job of the cluster."""
    name, config = component.name, component.backend_config
    if not shutil.which("docker"):
        yield f"component '{name}': backend kubernetes needs the command docker."
    if not importlib.util.find_spec("kubernetes"):
        yield "backend kubernetes needs a package: pip install 'kubernetes<37'."
    for key in ("kube-context", "kube-job-template-path", "repository-uri"):
        if key not in config:
            yield (
                f"component '{name}': backend kubernetes needs main.backend_config.{key}; see "
                "'Components on a cluster' in MLpipeline.md."
            )
    template = component.folder.parents[1] / config.get("kube-job-template-path", "")
    if not template.exists():
        yield f"component '{name}': there is no job template '{template}'."
    for key, value in component.of_type("url").items():
        if "://" not in value:
            yield (
                f"components.{name}.parameters.{key}: '{component.parameters[key]}' is a file "
                "of this machine, which Kubernetes cannot see: set its URL, or let the component "
                f"run here with components.{name}.backend=local."
            )
