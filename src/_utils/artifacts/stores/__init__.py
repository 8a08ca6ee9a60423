"""Where the bytes of artifacts are kept; the index of them is always MLflow.

A store is a module `<name>_store.py` in this folder. It has

put(path, artifact)     keeps the bytes of a new version; returns their URI
get(artifact)           returns the path of the bytes on this machine, and their digest; of a model
                        always a copy of its own, since loading a model executes what is there
is_present(artifact)    whether all bytes are still there, by their number

and if the store needs them:

faults()                what keeps the store from working, each fault with its cure
component_run(run_id)   the context that a component works in
PACKAGE                 the package that the conda.yml of each component must list
place()                 where in the store new bytes go
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

from _utils.capabilities import load_capability
from _utils.environment import tell, told
from _utils.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from _utils.artifacts.index import Artifact


def store_names() -> list[str]:
    """The names of the stores that this project has."""
    modules = (module.name.rpartition("_") for module in iter_modules(__path__))
    return sorted(name for name, _, suffix in modules if suffix == "store")


def store(name: str) -> ModuleType:
    """The store of that name; raises UserError if this project does not have it."""
    if name not in store_names():
        raise UserError(f"There is no artifact store '{name}': use {' or '.join(store_names())}.")
    return load_capability(f"artifacts.stores.{name}_store", f"main.artifact_store={name}")


def is_present(artifact: Artifact) -> bool:
    """Tell whether all bytes of an artifact are still there, by their number."""
    return store(artifact.store).is_present(artifact)


def chosen_store() -> str:
    """The name of the store for new artifacts."""
    return told("ARTIFACT_STORE", "mlflow")


def chosen_place() -> str:
    """The store for new artifacts and the place in it, such as `reference s3://bucket`."""
    return f"{chosen_store()} {getattr(store(chosen_store()), 'place', str)()}".strip()


def component_run(run_id: str) -> AbstractContextManager:
    """The context that the component of this MLflow run works in."""
    return getattr(store(chosen_store()), "component_run", nullcontext)(run_id)


def choose_store(main: DictConfig) -> list[str]:
    """Tell the components where new artifacts go; returns what keeps the store from working."""
    url = str(main.storage_url or "")
    if url and "://" not in url:
        url = Path(url).expanduser().absolute().as_uri()
    tell("ARTIFACT_STORE", str(main.artifact_store))
    tell("STORAGE_URL", url)
    tell("WANDB_PROJECT", str(main.project_name))
    tell("WANDB_RUN_GROUP", str(main.experiment_name))
    try:
        return getattr(store(chosen_store()), "faults", list)()
    except UserError as error:
        tell("ARTIFACT_STORE", "mlflow")  # so that the other faults can be found
        return [f"main.artifact_store: {error}"]
