"""The plan: which components run with which parameters, all faults found before the first runs."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from _utils.errors import UserError
from _utils.index import LATEST, find_artifact, parse_reference
from _utils.pipeline import faults as find
from _utils.pipeline.config import as_names, check_shape, unresolvable
from _utils.registry import SCHEME, pin_model
from _utils.stores import choose_store


@dataclass(frozen=True)
class Component:
    """A component as this pipeline is going to run it."""

    name: str
    folder: Path
    parameters: dict[str, str]
    must_run: str = ""  # why it runs even if a finished run could serve again
    backend: str = "local"  # MLflow's word for where it runs
    backend_config: dict[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, str]:
        """Parameters that name an artifact to use: `..._artifact` with the value `name:version`."""
        return {
            key: value
            for key, value in self.parameters.items()
            if key.endswith("_artifact") and ":" in value
        }

    @property
    def outputs(self) -> dict[str, str]:
        """Parameters that name an artifact to make: `artifact_name`, or `..._artifact` alone."""
        return {
            key: value
            for key, value in self.parameters.items()
            if (key == "artifact_name" or key.endswith("_artifact")) and value and ":" not in value
        }

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
        pins = {key: pin_model(self.parameters[key]) for key in self.models}
        return replace(self, parameters=self.parameters | pins)

    @property
    def models(self) -> list[str]:
        """Parameters that name a version of MLflow's model registry."""
        return [key for key, value in self.parameters.items() if value.startswith(SCHEME)]


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
            given = OmegaConf.to_container(config.components[name], resolve=True) or {}
        except OmegaConfBaseException:
            continue  # told already
        texts = {key: as_text(value) for key, value in (given.get("parameters") or {}).items()}
        url = any(key.endswith("_url") and "://" in text for key, text in texts.items())
        must_run = {
            "always runs: cache: false": not given.get("cache", True),
            "always runs: it reads a URL": url and "cache" not in given,
            "main.reuse is false": not config.main.reuse,
            "named in main.rerun": name in rerun,
        }
        reason = next((reason for reason, holds in must_run.items() if holds), "")
        backend, backend_config = backend_of(given, config.main)
        component = Component(name, root / "src" / name, texts, reason, backend, backend_config)
        components.append(component)
        faults += find.in_backend(component)
        faults += [*find.in_project(components[-1]), *find.in_values(components[-1], root)]
    components, missing = pin_inputs_from_outside(components, experiment_id)
    if faults := faults + missing:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return components


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
        The components, and a fault for each input that was never published.
    """
    pinned, faults, published = [], [], {}
    made_earlier: set[str] = set()
    for component in components:
        for key, reference in component.inputs.items():
            if reference in made_earlier | published.keys():
                continue
            try:
                name, version = parse_reference(reference)
                published[reference] = find_artifact(name, version, experiment_id).version
            except UserError as error:
                faults.append(f"components.{component.name}.parameters.{key}: {error}")
        outside = {key: published[key] for key in published.keys() - made_earlier}
        pinned.append(component.pinned(outside))
        made_earlier.update(as_latest(component.outputs.values()))
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
            f"main.steps '{main.steps}' names no step: known are: {', '.join(configured)}."
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
        cure = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(known)}."
        faults.append(f"unknown step '{name}': {cure}")
    return found, faults


def as_text(value: Any) -> str:
    """A config value as the parameter of a component: text as it is, null empty, the rest JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
