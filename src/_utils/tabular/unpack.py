"""Unpack a .gz or .zip file that holds one data file."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from zipfile import BadZipFile, ZipFile, ZipInfo

from _utils.errors import UserError
from _utils.tabular.fetch import path_in

PACKED = (".gz", ".zip")
# A file that is larger than HARMLESS, and larger than its packed form by this factor, is no table
HARMLESS, MOST_TIMES = 1_000_000_000, 200
GZIP = b"\x1f\x8b"
DAMAGED = (BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, NotImplementedError)


def unpack(source: Path, folder: Path) -> Path:
    """Unpack a file into a folder, under its own name; a file of another type is left alone.

    Args:
        source: Any file.
        folder: An empty folder.

    Returns:
        The path of the unpacked file, or `source` if it is not packed.

    Raises:
        UserError: The file is damaged or encrypted, does not hold exactly one file, or holds one of
            a size that no table has.
    """
    if source.suffix.lower() not in PACKED:
        return source
    try:
        if source.suffix.lower() == ".gz":
            with source.open("rb") as file:  # a server's Content-Encoding may be unpacked already
                is_packed = file.read(2) == GZIP
            with gzip.open(source) if is_packed else source.open("rb") as packed:
                return _copy(cast("BinaryIO", packed), folder / source.stem, source)
        with ZipFile(source) as archive:
            member = _only_file(archive, source)
            with archive.open(member) as packed:
                name = PurePosixPath(member.filename).name
                return _copy(cast("BinaryIO", packed), folder / name, source)
    except DAMAGED as fault:
        reason = str(fault).rstrip(".")
        raise UserError(
            f"{source} cannot be unpacked ({reason}). Download it again, or pack it again."
        ) from fault


def refuse_bomb(source: Path, sizes: Iterable[int]) -> None:
    """Refuse a file that would fill the disk.

    Args:
        source: The packed file.
        sizes: The sizes of what it holds, in bytes.

    Raises:
        UserError: They are too large, compared to the packed file.
    """
    if (size := sum(sizes)) > max(HARMLESS, MOST_TIMES * source.stat().st_size):
        raise UserError(
            f"{source} holds {size / 1e9:.1f} GB or more, {MOST_TIMES} times its own size: that "
            "fills disks and is rarely a table. If it is one, unpack it, and name the file in it."
        )


def _only_file(archive: ZipFile, source: Path) -> ZipInfo:
    # macOS adds folders with the first name, and files with the second
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and PurePosixPath(member.filename).name != ".DS_Store"
    ]
    names = ", ".join(member.filename for member in members[:5])
    if len(members) != 1:
        found = f"{len(members)} files ({names}{', ...' if len(members) > 5 else ''})"
        raise UserError(
            f"{source} holds {found if members else 'no file'}. Pack one file, or unpack it "
            "and name one of the files."
        )
    path_in(source, names)
    if members[0].flag_bits & 1:
        raise UserError(f"{source} is encrypted. Unpack it, and name the file in it.")
    return members[0]


def _copy(packed: BinaryIO, target: Path, source: Path) -> Path:
    size = 0
    with target.open("wb") as file:
        while chunk := packed.read(1_000_000):
            size += len(chunk)
            refuse_bomb(source, [size])
            file.write(chunk)
    return target
