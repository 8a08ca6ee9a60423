"""The plan: which components run with which parameters, all faults found before the first runs."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from _utils.artifacts.index import LATEST, find_artifact, outputs_of, parse_reference
from _utils.artifacts.stores import choose_store
from _utils.errors import UserError
from _utils.models.registry import pin_model
from _utils.pipeline.config import as_names, check_shape, unresolvable
from _utils.pipeline.faults import faults_of
from _utils.pipeline.sources import named_by, sources_of
from _utils.project import Project, read_project
from _utils.variables import as_text, as_written, resolved


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


def make_plan(config: DictConfig, root: Path, experiment_id: str | None) -> list[Component]:
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
    check_shape(config)
    names, faults = select_steps(config.main, [*config.components])
    rerun, unknown = known_names(as_names(config.main.rerun), config.main, [*config.components])
    faults += [*choose_store(config.main), *unknown, *unresolvable(config)]
    components = []
    for name in names:
        try:
            component, found = plan_component(name, config, root / "src" / name, name in rerun)
        except OmegaConfBaseException:  # among the faults already
            continue
        components.append(component)
        faults += found
    components, missing = pin_inputs_from_outside(components, experiment_id)
    if faults := faults + missing:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return components


def plan_component(
    name: str, config: DictConfig, folder: Path, is_rerun: bool
) -> tuple[Component, list[str]]:
    """A component with the values of its MLproject and of its section in the config; its faults."""
    written = config.components[name] or OmegaConf.create()
    section = OmegaConf.to_container(written, resolve=True)
    try:
        project, faults = read_project(folder), []
    except UserError as error:
        project, faults = Project(), [str(error)]
    texts = project.defaults
    if section.get("parameters"):
        texts |= {str(k): as_text(value) for k, value in as_written(written.parameters).items()}
    values = {key: resolved(text) for key, text in texts.items()}
    unknown = [*named_by(values, folder)[1], *sources_of(folder)[1]]
    reasons = {
        "always runs: caching is off": not section.get("cache", True),
        f"always runs: {', '.join(unknown[:1])}": unknown and "cache" not in section,
        "main.reuse is false": not config.main.reuse,
        "named in main.rerun": is_rerun,
    }
    must_run = next((reason for reason, holds in reasons.items() if holds), "")
    backend = backend_of(section, config.main)
    component = Component(name, folder, texts, must_run, *backend, project)
    return component, faults or [*faults_of(component)]


def backend_of(section: dict[str, Any], main: DictConfig) -> tuple[str, dict[str, Any]]:
    """Where a component runs: as `main` says, or as its own section does in part or in whole.

    `main.backend_config` is for `main.backend`; if that is `local`, which takes nothing, it is for
    the components that run elsewhere.
    """
    backend = section.get("backend") or main.backend
    common = dict(main.backend_config or {}) if main.backend in (backend, "local") else {}
    return backend, common | (section.get("backend_config") or {})


def pin_inputs_from_outside(
    components: list[Component], experiment_id: str | None
) -> tuple[list[Component], list[str]]:
    """Pin the inputs that no earlier component publishes.

    Returns:
        The components, and a fault for each input that was never published, or that a later
        component publishes: its present version is older than the component's other inputs.
    """
    pinned, faults = [], []
    versions: dict[str, str] = {}  # of the inputs from outside
    published: set[str] = set()  # by the components so far
    for number, component in enumerate(components, start=1):
        for key, reference in component.inputs.items():
            if reference in published | versions.keys():
                continue
            place = f"components.{component.name}.parameters.{key}"
            later = [x.name for x in components[number:] if reference in x.publishes]
            if later:
                faults.append(
                    f"'{component.name}' uses {reference}, which '{later[0]}' publishes later: "
                    f"move '{later[0]}' up in main.execute_steps, or set {place} to a version."
                )
                continue
            try:
                name, version = parse_reference(reference)
                versions[reference] = find_artifact(name, version, experiment_id).version
            except UserError as error:
                faults.append(f"{place}: {error}")
        outside = {each: versions[each] for each in versions.keys() - published}
        pinned.append(component.pinned(outside))
        published.update(component.publishes)
    return pinned, faults


def as_latest(names: Iterable[str]) -> list[str]:
    """References to the newest version of these artifacts."""
    return [f"{name}:{LATEST}" for name in names]


def select_steps(main: DictConfig, configured: list[str]) -> tuple[list[str], list[str]]:
    """The components that `main.steps` names, in the order of `main.execute_steps`.

    A component that is configured but not in `execute_steps` runs only when named, after the
    others.

    Returns:
        The names of the components, and a fault for each unknown name.
    """
    order, steps = list(main.execute_steps or []), as_names(main.steps)
    chosen, faults = known_names(order if steps == ["all"] else steps, main, configured)
    if not chosen and not faults and steps != ["all"]:
        faults.append(f"main.steps is empty: choose from {', '.join(configured)}, or write all.")
    return [name for name in dict.fromkeys([*order, *configured]) if name in chosen], faults


def known_names(
    names: list[str], main: DictConfig, configured: list[str]
) -> tuple[list[str], list[str]]:
    """Components by their names or aliases, and a fault for each unknown name."""
    aliases = main.get("aliases") or {}
    known, faults = [], []
    for name in dict.fromkeys(aliases.get(name, name) for name in names):
        if name in configured:
            known.append(name)
            continue
        near = difflib.get_close_matches(name, [*configured, *aliases], n=1)
        cure = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(configured)}."
        faults.append(f"unknown step '{name}': {cure}")
    return known, faults
