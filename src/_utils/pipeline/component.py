"""A component as a pipeline runs it: its parameters, and what they name."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from _utils.artifacts.index import LATEST, parse_reference, versions_of
from _utils.models.registry import pin_model
from _utils.project import Project
from _utils.variables import resolved


@dataclass(frozen=True)
class Component:
    """A component as this pipeline is going to run it."""

    name: str
    folder: Path
    parameters: dict[str, str]  # ${oc.env:...} as it is written
    must_run: str = ""  # why the component runs even if a finished run could be reused
    backend: str = "local"  # where it runs
    backend_config: dict[str, Any] = field(default_factory=dict)
    project: Project = field(default_factory=Project)

    def has_environment(self, env_manager: str) -> bool:
        """Whether MLflow makes an environment for the component on this machine."""
        is_here = self.backend in ("local", "slurm") and self.project.env_type != "docker_env"
        return is_here and env_manager != "local"

    @cached_property
    def values(self) -> dict[str, str]:
        """The parameters with what they take from the environment; not to be recorded."""
        return {key: resolved(value) for key, value in self.parameters.items()}

    @cached_property
    def types(self) -> dict[str, str]:
        """The types of the parameters."""
        return {key: self.project.type_of(key, value) for key, value in self.values.items()}

    def of_type(self, *types: str) -> dict[str, str]:
        """The parameters of these types that have a value."""
        return {k: value for k, value in self.values.items() if value and self.types[k] in types}

    @property
    def inputs(self) -> dict[str, str]:
        """Parameters that name an artifact to use, as `name:version`."""
        return self.of_type("artifact")

    @property
    def outputs(self) -> dict[str, str]:
        """Parameters that name an artifact which the component publishes."""
        return self.of_type("output", "model_output")

    @property
    def publishes(self) -> list[str]:
        """The outputs as later components name them: `name:latest`."""
        return [f"{name}:{LATEST}" for name in self.outputs.values()]

    def unpublished(self, run: Run) -> list[str]:
        """Outputs that this run of the component did not publish."""
        published = versions_of(run)
        return [name for name in self.outputs.values() if name not in published]

    def pinned(self, versions: dict[str, str]) -> "Component":
        """The component with `name:<version>` for each reference that has a version here."""
        pins = {
            key: f"{parse_reference(reference)[0]}:{versions[reference]}"
            for key, reference in self.inputs.items()
            if reference in versions
        }
        return replace(self, parameters=self.parameters | pins)

    def with_models_pinned(self) -> "Component":
        """The component with `models:/name/<version>` for each `models:/name@alias`, as of now."""
        pins = {key: pin_model(uri) for key, uri in self.of_type("model").items()}
        return replace(self, parameters=self.parameters | pins)
