"""The plan: which components run with which parameters, all faults found before the first runs."""

from functools import cache
from pathlib import Path

from _utils.artifacts.index import LATEST, MODEL_TYPE, find_artifact, parse_reference
from _utils.artifacts.stores import choose_store
from _utils.errors import UserError, did_you_mean
from _utils.pipeline.component import Component
from _utils.pipeline.config import Config, Main
from _utils.pipeline.faults import faults_of
from _utils.pipeline.sources import named_by, sources_of
from _utils.project import Project, read_project
from _utils.variables import as_text, resolved


def make_plan(
    config: Config, root: Path, experiment_id: str, env_manager: str = "local"
) -> list[Component]:
    """Decide what runs, in the order of `main.execute_steps`.

    Inputs that this pipeline does not publish are pinned here, to what the experiment has, so that
    they stay the same whatever other pipelines publish in the meantime. The store
    of new artifacts is chosen here, too.

    Raises:
        UserError: One line for each fault in the config, the components or their artifacts.
    """
    names, faults = select_steps(config.main, [*config.components])
    rerun, unknown = known_names(config.main.rerun, config.main, [*config.components])
    faults += [*choose_store(config.main), *unknown, *config.faults]
    components = []
    for name in names:
        component, found = plan_component(config, root / "src" / name, name in rerun, env_manager)
        components.append(component)
        faults += found
    components, missing = pin_inputs_from_outside(components, experiment_id)
    if faults := faults + missing:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return components


def plan_component(
    config: Config, folder: Path, is_rerun: bool, env_manager: str
) -> tuple[Component, list[str]]:
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
    return component, faults or [*faults_of(component, env_manager)]


def pin_inputs_from_outside(
    components: list[Component], experiment_id: str
) -> tuple[list[Component], list[str]]:
    """Pin the inputs that no earlier component publishes.

    Returns:
        The components, and a fault for each input that was never published, or that a later
        component publishes: its present version is older than the component's other inputs.
    """
    find = cache(lambda each: find_artifact(*parse_reference(each), experiment_id))
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
                    artifact = find(reference)
                    versions[reference] = artifact.version
                    if artifact.type == MODEL_TYPE:
                        faults += other_models(component, reference, components[:number])
                except UserError as error:
                    faults += [f"{place}: {error}"]
        pinned.append(component.pinned(versions))
    return pinned, faults


def other_models(component: Component, model: str, before: list[Component]) -> list[str]:
    """A fault if earlier components train models, but this one uses an older one of other name."""
    trained = [name for each in before for name in each.of_type("model_output").values()]
    uses_one = {f"{name}:{LATEST}" for name in trained} & {*component.inputs.values()}
    if not trained or uses_one or not model.endswith(f":{LATEST}"):
        return []
    return [
        f"'{component.name}' uses {model}, but this pipeline trains {', '.join(trained)}: set "
        f"modeling.model={trained[-1]} in config.yaml, or run the component that trains it, too."
    ]


def select_steps(main: Main, configured: list[str]) -> tuple[list[str], list[str]]:
    """The components that `main.steps` names, in the order of `main.execute_steps`.

    A component that is configured but not in `execute_steps` runs only when named, after the one
    that is before it in the section `components`.

    Returns:
        The names of the components, and a fault for each unknown name.
    """
    order, steps = [*(main.execute_steps or [])], main.steps
    chosen, faults = known_names([*order] if steps == ["all"] else steps, main, configured)
    if not chosen and not faults and steps != ["all"]:
        faults.append(f"main.steps is empty: choose from {', '.join(configured)}, or write all.")
    for number, name in enumerate(configured):
        if name not in order:
            before = [each for each in configured[:number] if each in order]
            order.insert(order.index(before[-1]) + 1 if before else 0, name)
    return [name for name in dict.fromkeys(order) if name in chosen], faults


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
