"""What is wrong with this machine, told all at once before anything is recorded."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
from omegaconf import DictConfig
from sqlalchemy.engine import make_url

from _utils.artifacts.stores import choose_store
from _utils.errors import UserError
from _utils.pipeline.report import console


def check_machine(main: DictConfig) -> None:
    """Look for what keeps any pipeline with this section `main` from working here.

    Raises:
        UserError: One line for each fault, with its cure.
    """
    if not shutil.which("git"):
        note = "git is not on the PATH, so runs are recorded without the commit of their code."
        console.print(note, style="dim")
    if faults := [*faults_of_tracking_store(), *choose_store(main)]:
        raise UserError("\n".join(faults))


def faults_of_tracking_store() -> Iterator[str]:
    """What keeps a store on this machine's disk from being used."""
    uri = mlflow.get_tracking_uri()
    if uri.startswith("file:") or "://" not in uri:
        yield (
            f"{uri} holds runs in files, as MLflow had them before version 3: move the folder "
            "away, or convert it with `mlflow migrate-filestore`; or use another store, "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db."
        )
    if uri.startswith("sqlite:"):
        database = Path(make_url(uri).database).absolute()
        if not database.parent.is_dir():
            yield f"{database.parent}, for the tracking store, is not a folder: create it."
        for path in (database.parent, database, database.parent / "mlruns"):
            if path.exists() and not os.access(path, os.W_OK):
                yield (
                    f"{path} is not writable: correct its owner and permissions, or use another "
                    "store, MLFLOW_TRACKING_URI=sqlite:////<folder>/mlflow.db."
                )
