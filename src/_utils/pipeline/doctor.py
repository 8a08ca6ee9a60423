"""What is wrong with this machine, told all at once before anything is made."""

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
    """Look for what keeps any pipeline from working here.

    Args:
        main: The section `main` of the config.

    Raises:
        UserError: One line for each fault, with its cure.
    """
    if not shutil.which("git"):
        note = "git is not on the PATH: runs are recorded without the commit of their code."
        console.print(note, style="dim")
    if faults := [*faults_of_tracking_store(), *choose_store(main)]:
        raise UserError("\n".join(faults))


def faults_of_tracking_store() -> Iterator[str]:
    """What keeps the store on this machine's disk from being used, if it is there at all."""
    uri = mlflow.get_tracking_uri()
    if uri.startswith("file:") or "://" not in uri:
        yield (
            f"{uri} holds runs in files, as MLflow had them before version 3: move the folder "
            "away, or take them along with `mlflow migrate-filestore`; or name another store, "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db."
        )
    if uri.startswith("sqlite:"):
        database = Path(make_url(uri).database).absolute()
        for path in (database.parent, database, database.parent / "mlruns"):
            if path.exists() and not os.access(path, os.W_OK):
                yield (
                    f"{path} cannot be written to: mend its owner and permissions, or name another "
                    "store, MLFLOW_TRACKING_URI=sqlite:////<folder>/mlflow.db."
                )
                break
        else:
            if not database.parent.is_dir():
                yield f"{database.parent}, for the tracking store, is no folder: make it."
