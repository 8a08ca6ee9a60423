"""The plan: which components run with which parameters, all faults found before the first runs."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.projects.utils import load_project
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from _utils.artifacts.index import LATEST, find_artifact, outputs_of, parse_reference
from _utils.artifacts.stores import choose_store
from _utils.errors import UserError
from _utils.models.registry import SCHEME, pin_model
from _utils.pipeline import faults as find
from _utils.pipeline.config import as_names, check_shape, unresolvable
from _utils.pipeline.sources import named_by, sources_of
from _utils.variables import as_text, as_written, resolved


@dataclass(frozen=True)
class Component:
    """A component as this pipeline is going to run it."""

    name: str
    folder: Path
    parameters: dict[str, str]  # ${oc.env:...} as it is written
    must_run: str = ""  # why it runs even if a finished run could serve again
    backend: str = "local"  # MLflow's word for where it runs
    backend_config: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """The parameters with what they take from the environment; not to be recorded."""
        return {key: resolved(value) for key, value in self.parameters.items()}

    @property
    def inputs(self) -> dict[str, str]:
        """Parameters that name an artifact to use: `..._artifact` with the value `name:version`."""
        return {
            key: value
            for key, value in self.values.items()
            if key.endswith("_artifact") and ":" in value
        }

    @property
    def outputs(self) -> dict[str, str]:
        """Parameters that name an artifact to make: `artifact_name`, or `..._artifact` alone."""
        return {
            key: value
            for key, value in self.values.items()
            if (key == "artifact_name" or key.endswith("_artifact")) and value and ":" not in value
        }

    @property
    def makes(self) -> list[str]:
        """The outputs as the components after this one name them: `name:latest`."""
        return as_latest(self.outputs.values())

    def unpublished(self, run: Run) -> list[str]:
        """Outputs that this run of the component did not publish."""
        published = {artifact.name for artifact in outputs_of(run)}
        return [name for name in self.outputs.values() if name not in published]

    def pinned(self, versions: dict[str, str]) -> "Component":
        """The same with `name:<version>` for each reference whose version is given."""
        pins = {
            key: f"{parse_reference(reference)[0]}:{versions[reference]}"
            for key, reference in self.inputs.items()
            if reference in versions
        }
        return replace(self, parameters=self.parameters | pins)

    def with_models_pinned(self) -> "Component":
        """The same with `models:/name/<version>` for each `models:/name@alias`, as of now."""
        pins = {key: pin_model(self.values[key]) for key in self.models}
        return replace(self, parameters=self.parameters | pins)

    @property
    def models(self) -> list[str]:
        """Parameters that name a version of MLflow's model registry."""
        return [key for key, value in self.values.items() if value.startswith(SCHEME)]


def make_plan(config: DictConfig, root: Path, experiment_id: str | None) -> list[Component]:
    """Decide what runs, in the order of `main.execute_steps`.

    Inputs that the pipeline does not make itself are pinned here, so that they stay the same
    throughout, whatever other pipelines publish in the meantime; and the store is chosen that its
    own artifacts go to.

    Args:
        config: The whole config.
        root: The repository's folder.
        experiment_id: Where artifacts that this pipeline does not make itself are looked up; None
            if nothing was published yet.

    Raises:
        UserError: One line for each fault in the config, the components or their artifacts.
    """
    check_shape(config)
    configured = list(config.components)
    names, faults = select_steps(config.main, configured)
    faults += choose_store(config.main)
    rerun, unknown = known_names(as_names(config.main.rerun), config.main, configured)
    faults += [*unknown, *unresolvable(config)]
    components = []
    for name in names:
        try:
            section = config.components[name] or OmegaConf.create()
            given = OmegaConf.to_container(section, resolve=True)
        except OmegaConfBaseException:
            continue  # told already
        folder = root / "src" / name
        texts = defaults(folder)
        if given.get("parameters"):
            written = as_written(config.components[name].parameters)
            texts |= {str(key): as_text(value) for key, value in written.items()}
        values = {key: resolved(text) for key, text in texts.items()}
        unknown = [*named_by(values, folder)[1], *sources_of(folder)[1]]
        must_run = {
            "always runs: cache: false": not given.get("cache", True),
            f"always runs: {', '.join(unknown[:1])}": unknown and "cache" not in given,
            "main.reuse is false": not config.main.reuse,
            "named in main.rerun": name in rerun,
        }
        reason = next((reason for reason, holds in must_run.items() if holds), "")
        backend, backend_config = backend_of(given, config.main)
        component = Component(name, folder, texts, reason, backend, backend_config)
        components.append(component)
        faults += find.in_backend(component)
        faults += [*find.in_project(components[-1]), *find.in_values(components[-1], root)]
    components, missing = pin_inputs_from_outside(components, experiment_id)
    if faults := faults + missing:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return components


def defaults(folder: Path) -> dict[str, str]:
    """Parameters that have a value in the component's MLproject, which may be inputs as well."""
    try:
        declared = load_project(str(folder)).get_entry_point("main").parameters
    except find.UNREADABLE:
        return {}  # told by in_project()
    return {key: str(each.default) for key, each in declared.items() if each.default is not None}


def backend_of(given: dict[str, Any], main: DictConfig) -> tuple[str, dict[str, Any]]:
    """Where a component runs: as `main` says, or as its own section does in part or in whole.

    `main.backend_config` is for `main.backend`; `local` takes nothing, so then it is for the
    components that run elsewhere.
    """
    backend = given.get("backend") or main.backend
    common = dict(main.backend_config or {}) if main.backend in (backend, "local") else {}
    return backend, {**common, **(given.get("backend_config") or {})}


def pin_inputs_from_outside(
    components: list[Component], experiment_id: str | None
) -> tuple[list[Component], list[str]]:
    """Pin the inputs that no component makes before they are used.

    Returns:
        The components, and a fault for each input that was never published, or that a later
        component makes: what there is of it now is of another time than the other inputs.
    """
    pinned, faults, published = [], [], {}
    made_earlier: set[str] = set()
    for number, component in enumerate(components, start=1):
        for key, reference in component.inputs.items():
            if reference in made_earlier | published.keys():
                continue
            makers = [each for each in components[number:] if reference in each.makes]
            if makers:
                faults.append(
                    f"'{component.name}' uses {reference}, which '{makers[0].name}' makes later: "
                    f"move '{makers[0].name}' up in main.execute_steps, or give "
                    f"components.{component.name}.parameters.{key} a version."
                )
                continue
            try:
                name, version = parse_reference(reference)
                published[reference] = find_artifact(name, version, experiment_id).version
            except UserError as error:
                faults.append(f"components.{component.name}.parameters.{key}: {error}")
        outside = {key: published[key] for key in published.keys() - made_earlier}
        pinned.append(component.pinned(outside))
        made_earlier.update(component.makes)
    return pinned, faults


def as_latest(names: Iterable[str]) -> list[str]:
    """References to the newest version of these artifacts."""
    return [f"{name}:{LATEST}" for name in names]


def select_steps(main: DictConfig, configured: list[str]) -> tuple[list[str], list[str]]:
    """The components that `main.steps` asks for, in the order of `main.execute_steps`.

    One that is configured but not in `execute_steps` runs only when named, after the others.

    Returns:
        The names of the components, and a fault for each name that no component has.
    """
    order, steps = list(main.execute_steps or []), as_names(main.steps)
    asked, faults = known_names(order if steps == ["all"] else steps, main, configured)
    if not asked and not faults and steps != ["all"]:
        faults.append(
            f"main.steps '{main.steps}' names no step. Choose from {', '.join(configured)}."
        )
    unlisted = [name for name in configured if name not in order]
    return [name for name in [*order, *unlisted] if name in asked], faults


def known_names(
    names: list[str], main: DictConfig, configured: list[str]
) -> tuple[list[str], list[str]]:
    """Components by their names or aliases, and a fault for each name that no component has."""
    aliases = main.get("aliases") or {}
    known = [*configured, *aliases]
    found, faults = [], []
    for name in dict.fromkeys(aliases.get(name, name) for name in names):
        if name in configured:
            found.append(name)
            continue
        near = difflib.get_close_matches(name, known, n=1)
        cure = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(known)}."
        faults.append(f"unknown step '{name}': {cure}")
    return found, faults
