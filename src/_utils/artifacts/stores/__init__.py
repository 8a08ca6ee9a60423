"""Where the bytes of artifacts are kept: one of three stores. The index is always MLflow.

A store is a module with these functions:

faults()                     what keeps it from working, each with its cure
put(path, artifact)          keep the bytes of a new version; returns their URI
get(artifact, folder)        bring them to this machine; returns their path and their digest
is_present(artifact)         whether all bytes are there, by their number
component_run(run_id)        what a component works within
PACKAGE                      what the conda.yml of a component has to have
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from _utils.artifacts.stores import mlflow_store, reference_store, wandb_store
from _utils.environment import tell, told
from _utils.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

STORES = {"mlflow": mlflow_store, "wandb": wandb_store, "reference": reference_store}
PLACES = {"wandb": "WANDB_PROJECT", "reference": "STORAGE_URL"}  # variables: where within a store


def chosen_store() -> str:
    """The store that new artifacts go to, by name.

    Raises:
        UserError: There is no store of that name.
    """
    name = told("ARTIFACT_STORE", "mlflow")
    if name not in STORES:
        raise UserError(
            f"main.artifact_store '{name}' is no store: allowed are {', '.join(STORES)}."
        )
    return name


def chosen_place() -> str:
    """The store and, if there are several, the place in it: `reference s3://bucket`."""
    store = chosen_store()
    return f"{store} {told(PLACES[store])}".strip() if store in PLACES else store


def component_run(run_id: str) -> AbstractContextManager:
    """What the component of this MLflow run works within, by the store that is chosen."""
    return STORES[chosen_store()].component_run(run_id)


def choose_store(main: DictConfig) -> list[str]:
    """Let the artifacts of this process and of its components go where the config says.

    They are told by environment variables, so that a component works the same by itself.

    Args:
        main: The section `main` of the config.

    Returns:
        What keeps the store from working, each with its cure.
    """
    url = str(main.storage_url or "")
    if url and "://" not in url:
        url = Path(url).expanduser().absolute().as_uri()
    tell("ARTIFACT_STORE", str(main.artifact_store))
    tell("STORAGE_URL", url)
    tell("WANDB_PROJECT", str(main.project_name))
    tell("WANDB_RUN_GROUP", str(main.experiment_name))
    try:
        return STORES[chosen_store()].faults()
    except UserError as error:
        tell("ARTIFACT_STORE", "mlflow")  # so that other faults can be found as well
        return [str(error)]
