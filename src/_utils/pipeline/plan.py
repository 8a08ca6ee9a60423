"""The plan: which components run with which parameters, all faults found before the first runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from _utils.artifacts.index import LATEST, find_artifact, outputs_of, parse_reference
from _utils.artifacts.stores import choose_store
from _utils.errors import UserError, did_you_mean
from _utils.models.registry import pin_model
from _utils.pipeline.config import Config, Main
from _utils.pipeline.faults import faults_of
from _utils.pipeline.sources import named_by, sources_of
from _utils.project import Project, read_project
from _utils.variables import as_text, resolved


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
        return as_latest(self.outputs.values())

    def unpublished(self, run: Run) -> list[str]:
        """Outputs that this run of the component did not publish."""
        published = {artifact.name for artifact in outputs_of(run)}
        return [name for name in self.outputs.values() if name not in published]

    def pinned(self, versions: dict[str, str]) -> "Component":
        """The component with `name:<version>` in place of each reference that has a version here.

        Args:
            versions: Versions by references, such as `name:latest`.
        """
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


def make_plan(config: Config, root: Path, experiment_id: str | None) -> list[Component]:
    """Decide what runs, in the order of `main.execute_steps`.

    Inputs that this pipeline does not publish are pinned here, so that they stay the same whatever
    other pipelines publish in the meantime. The store of new artifacts is chosen here, too.

    Args:
        config: The whole config.
        root: The repository's folder.
        experiment_id: Where inputs from outside are looked up; None if nothing was published yet.

    Raises:
        UserError: One line for each fault in the config, the components or their artifacts.
    """
    names, faults = select_steps(config.main, [*config.components])
    rerun, unknown = known_names(config.main.rerun, config.main, [*config.components])
    faults += [*choose_store(config.main), *unknown, *config.faults]
    components = []
    for name in names:
        component, found = plan_component(config, root / "src" / name, name in rerun)
        components.append(component)
        faults += found
    components, missing = pin_inputs_from_outside(components, experiment_id)
    if faults := faults + missing:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return components


def plan_component(config: Config, folder: Path, is_rerun: bool) -> tuple[Component, list[str]]:
    """A component with the values of its MLproject and of its section in the config; its faults."""
    main, section = config.main, config.components[folder.name]
    try:
        project, faults = read_project(folder), []
    except UserError as error:
        project, faults = Project(), [str(error)]
    texts = {str(key): as_text(value) for key, value in (section.parameters or {}).items()}
    texts = project.defaults | texts
    values = {key: resolved(text) for key, text in texts.items()}
    unknown = [*named_by(values, folder)[1], *sources_of(folder)[1]]
    reasons = {
        "always runs (caching is off)": section.cache is False,
        f"always runs: {', '.join(unknown[:1])}": unknown and section.cache is None,
        "main.reuse is false": not main.reuse,
        "named in main.rerun": is_rerun,
    }
    must_run = next((reason for reason, holds in reasons.items() if holds), "")
    # `local` takes no options: those of main are then for the components that run elsewhere
    backend = section.backend or main.backend
    common = main.backend_config or {} if main.backend in (backend, "local") else {}
    options = common | (section.backend_config or {})
    component = Component(folder.name, folder, texts, must_run, backend, options, project)
    return component, faults or [*faults_of(component)]


def pin_inputs_from_outside(
    components: list[Component], experiment_id: str | None
) -> tuple[list[Component], list[str]]:
    """Pin the inputs that no earlier component publishes.

    Returns:
        The components, and a fault for each input that was never published, or that a later
        component publishes: its present version is older than the component's other inputs.
    """
    version_of = cache(lambda each: find_artifact(*parse_reference(each), experiment_id).version)
    numbered = [*enumerate(components)]
    publishers = {each: number for number, by in reversed(numbered) for each in by.publishes}
    pinned, faults = [], []
    for number, component in numbered:
        versions: dict[str, str] = {}
        for key, reference in component.inputs.items():
            place = f"components.{component.name}.parameters.{key}"
            first = publishers.get(reference, number)
            if first > number:
                name = components[first].name
                faults.append(
                    f"'{component.name}' uses {reference}, which '{name}' publishes later: move "
                    f"'{name}' up in main.execute_steps, or set {place} to a version."
                )
            elif first == number:  # what the component publishes itself has an older version, too
                try:
                    versions[reference] = version_of(reference)
                except UserError as error:
                    faults.append(f"{place}: {error}")
        pinned.append(component.pinned(versions))
    return pinned, faults


def as_latest(names: Iterable[str]) -> list[str]:
    """References to the newest version of these artifacts."""
    return [f"{name}:{LATEST}" for name in names]


def select_steps(main: Main, configured: list[str]) -> tuple[list[str], list[str]]:
    """The components that `main.steps` names, in the order of `main.execute_steps`.

    A component that is configured but not in `execute_steps` runs only when named, after the
    others.

    Returns:
        The names of the components, and a fault for each unknown name.
    """
    order, steps = main.execute_steps or [], main.steps
    chosen, faults = known_names(order if steps == ["all"] else steps, main, configured)
    if not chosen and not faults and steps != ["all"]:
        faults.append(f"main.steps is empty: choose from {', '.join(configured)}, or write all.")
    return [name for name in dict.fromkeys([*order, *configured]) if name in chosen], faults


def known_names(names: list[str], main: Main, configured: list[str]) -> tuple[list[str], list[str]]:
    """Components by their names or aliases, and a fault for each unknown name."""
    aliases = main.aliases or {}
    names = list(dict.fromkeys(aliases.get(name, name) for name in names))
    faults = [
        f"unknown step '{name}': {did_you_mean(name, [*configured, *aliases])}"
        for name in names
        if name not in configured
    ]
    return [name for name in names if name in configured], faults
