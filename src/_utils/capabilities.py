"""Capabilities: parts that can be deleted, so nothing imports them but by name, through this file.

A capability is a module or package: `sweeps`, `backends.slurm`, `artifacts.stores.wandb_store`.
"""

import importlib
import importlib.util
from types import ModuleType

from _utils.errors import UserError


def has_capability(name: str) -> bool:
    """Tell whether `_utils.<name>` is there."""
    try:
        return importlib.util.find_spec(f"_utils.{name}") is not None
    except ModuleNotFoundError:  # the package around it is gone
        return False


def load_capability(name: str, wanted_by: str) -> ModuleType:
    """Import `_utils.<name>`; if it was deleted, raise UserError, which says what needs it."""
    if not has_capability(name):
        raise UserError(
            f"{wanted_by} needs src/_utils/{name.replace('.', '/')}, which this project deleted: "
            f"restore it from the template, or leave out {wanted_by}."
        )
    return importlib.import_module(f"_utils.{name}")
