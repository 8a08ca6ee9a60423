"""Digests of files and folders: the same content has the same digest, on any machine."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BLOCK = 1 << 20  # bytes read at once
# What MLflow adds to a model that it loads by models:/..., and file managers to any folder
NO_CONTENT = re.compile(r"registered_model_meta|(.*/)?(\.DS_Store|Thumbs\.db|desktop\.ini)")


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, that of its relative paths and their digests."""
    return digest_of_files(content_of(path), open)


def content_of(path: Path) -> dict[str, Path]:
    """The files in a folder by relative path, links followed; a single file has the path ""."""
    if not path.is_dir():
        return {"": path}
    walk = os.walk(path, followlinks=True)
    files = (Path(folder, name) for folder, _, names in walk for name in names)
    content = {file.relative_to(path).as_posix(): file for file in files if file.is_file()}
    return {name: file for name, file in content.items() if not NO_CONTENT.fullmatch(name)}


def digest_of_files(files: Mapping[str, Any], open_: Callable[[Any, str], Any]) -> str:
    """The digest of files anywhere, by relative path, that `open_(file, "rb")` opens."""
    digests = {}
    for relative, file in files.items():
        sha = hashlib.sha256()
        with open_(file, "rb") as stream:
            while block := stream.read(BLOCK):
                sha.update(block)
        digests[relative] = sha.hexdigest()
    if list(digests) == [""]:
        return digests[""]
    lines = [f"{relative}\0{digests[relative]}\n" for relative in sorted(digests)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
