"""Names that become paths: of artifacts, of downloads, and the keys of a storage."""

from pathlib import Path, PureWindowsPath

from _utils.errors import UserError


def path_in(folder: Path, name: str) -> Path:
    """Where a file goes in a folder; it is there on every system, and nowhere else.

    Args:
        folder: The folder, which may hold folders of its own.
        name: The file's name in it, with `/` before the names of inner folders.

    Raises:
        UserError: The name is empty, or leads out of the folder.
    """
    windows = PureWindowsPath(name)  # this takes both / and \\ for what separates folders
    if not windows.parts or windows.anchor or ".." in windows.parts or "\\" in name:
        raise UserError(
            f"'{name}' cannot be the name of a file in {folder}: it is empty, an absolute path, or "
            "has '..' or a backslash in it. Rename the file."
        )
    return folder / name
