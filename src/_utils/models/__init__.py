"""What components hand on, the models among them, and the registry of these."""

from typing import Any

LAZY = ("load_model", "log_model")


def __getattr__(name: str) -> Any:
    """The functions above, imported when they are used: main.py needs only the registry."""
    if name not in LAZY:
        raise AttributeError(f"module '_utils.models' has no attribute '{name}'")
    from _utils.models import publish

    return getattr(publish, name)
