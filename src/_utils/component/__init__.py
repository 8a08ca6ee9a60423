"""What a component runs in: run.py by `launch`, notebooks by notebook.py, others by shell.py."""

from _utils.component.launch import (
    declared_options,
    installed_packages,
    launch,
    scratch_file,
    scratch_folder,
)

__all__ = [
    "declared_options",
    "installed_packages",
    "launch",
    "scratch_file",
    "scratch_folder",
]
