"""Digests of files and folders: the same content is the same digest, on any machine."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 1 << 20  # bytes read at once
MODEL = "MLmodel"  # a folder with this file is an MLflow model
META = "registered_model_meta"  # MLflow writes it there when it loads models:/<name>/<version>


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, that of its relative paths and their digests."""
    return digest_of_files(content_of(path), open_file)


def content_of(path: Path) -> dict[str, Path]:
    """The files that are the content of a file or folder, by relative path ("" for a file)."""
    if not path.is_dir():
        return {"": path}
    # With what lies behind links to folders: nobody can publish one, but somebody could add it
    walk = os.walk(path, followlinks=True)
    found = (Path(folder, name) for folder, _, names in walk for name in names)
    return without_meta(
        {file.relative_to(path).as_posix(): file for file in found if file.is_file()}
    )


def without_meta(files: Mapping[str, Any]) -> dict[str, Any]:
    """The same files, by relative path, without those that MLflow adds to models."""
    added = {name for name in files if name.endswith(META) and _beside(name) in files}
    return {name: file for name, file in files.items() if name not in added}


def _beside(meta: str) -> str:
    return meta.removesuffix(META) + MODEL


def open_file(path: Path) -> BinaryIO:
    """Open a file of this machine for reading."""
    return path.open("rb")


def digest_of_files(files: Mapping[str, Any], open_: Callable[[Any], BinaryIO]) -> str:
    """The same of files anywhere.

    Args:
        files: Relative path -> what `open_` takes; of a single file the path is empty.
        open_: Opens one of them for reading.
    """
    digests = {}
    for relative, place in files.items():
        sha = hashlib.sha256()
        with open_(place) as stream:
            while block := stream.read(BLOCK):
                sha.update(block)
        digests[relative] = sha.hexdigest()
    if list(digests) == [""]:
        return digests[""]
    lines = [f"{relative}\0{digests[relative]}\n" for relative in sorted(digests)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
