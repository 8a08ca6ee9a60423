"""Convert a data file of any supported type to Parquet."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa

from _utils.errors import UserError
from _utils.tabular.dialect import UTF8, Dialect, checked, encoding_of, is_utf8, unicode_of
from _utils.tabular.from_csv import OPEN_QUOTE, Types, csv_to_parquet, survey
from _utils.tabular.from_excel import excel_to_csv
from _utils.tabular.from_json import array_to_lines, is_array, json_to_parquet
from _utils.tabular.tables import open_table, refuse_duplicates
from _utils.tabular.unpack import PACKED, unpack

NOT_UTF8 = "the text is not UTF-8. Convert it; of a CSV file, set data.csv.encoding instead."
NO_ROWS = "the table has no rows. Provide at least one."
WEB_PAGE = re.compile(rb"\W*<(!doctype )?html", re.IGNORECASE)  # how one begins
CSV, JSON, PARQUET, EXCEL = "CSV", "JSON", "Parquet", "Excel"
KINDS = {".csv": CSV, ".tsv": CSV, ".jsonl": JSON, ".ndjson": JSON, ".json": JSON}
KINDS |= {".parquet": PARQUET, ".xlsx": EXCEL}


class Plain(NamedTuple):
    """A file that is a CSV in UTF-8, JSON lines in UTF-8, or Parquet."""

    file: Path
    kind: str
    dialect: Dialect
    types: Types = None


def to_parquet(source: Path, target: Path, options: dict[str, Any] | None = None) -> int:
    """Convert a table to a Parquet file; the same input gives the same bytes.

    Whole numbers of a CSV become int64, decimals float64, everything else text; an empty field
    becomes null. So do those of the first sheet of an Excel file, but true and false become bool,
    and dates timestamps. JSON keeps its types. A column becomes text if it has a whole number that
    int64 cannot hold, or that float64 cannot hold exactly. A Parquet file is copied unchanged.

    Args:
        source: A .csv, .tsv, .jsonl, .ndjson, .json (a list of objects), .parquet or .xlsx file; or
            a .gz or .zip file that holds one of these. Without a suffix, and as .txt, it may be
            CSV, JSON or Parquet.
        target: The Parquet file to write.
        options: How a CSV file is written: `delimiter`, `encoding` and `decimal`. What is missing
            or None is recognised, and printed if it is not the usual.

    Returns:
        The number of rows.

    Raises:
        UserError: The file type is unknown, an option is wrong, or the content is not a valid
            table. The target is not written.
    """
    partial = target.with_name(f"{target.name}.part")
    try:
        with _plain(source, checked(options), target.parent) as (file, kind, dialect, types):
            if kind == CSV:
                rows = csv_to_parquet(file, partial, dialect, types)
            else:
                rows = (json_to_parquet if kind == JSON else _from_parquet)(file, partial)
            if not rows:
                raise UserError(f"{file}: {NO_ROWS}")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def recognise(source: Path, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Tell how a table is written, as `to_parquet` recognises it.

    Args:
        source: As in `to_parquet`.
        options: As in `to_parquet`; these are taken over.

    Returns:
        `delimiter`, `encoding` and `decimal`, each None where it has no meaning (there are no
        decimals, the file is not a CSV); and `null_words`, a sorted list of the words that keep
        columns of numbers from being read as such.

    Raises:
        UserError: As `to_parquet`.
    """
    with (
        TemporaryDirectory() as folder,
        _plain(source, checked(options), Path(folder)) as (file, kind, dialect, types),
    ):
        if kind != CSV:
            return {**asdict(Dialect()), "null_words": []}
        found = survey(file, dialect)
        words = sorted(set().union(*found.null_words.values()))
        own = found.dialect if types is None else Dialect()  # an Excel file has none
        return {**asdict(own), "null_words": words}


@contextmanager
def _plain(source: Path, options: Dialect, room: Path) -> Iterator[Plain]:
    """Unpack and convert a file, in a folder that is removed afterwards; name it in messages."""
    with TemporaryDirectory(dir=room, prefix="plain_") as folder:
        file, copy = source, Path(folder, "plain")
        try:
            file = unpack(source, Path(folder))
            if (kind := _kind_of(file)) is None:
                inside = f" holds {file.name}" if file != source else ""
                raise UserError(
                    f"{source}{inside}: unknown file type. Use one of {', '.join(KINDS)}, or one "
                    f"of these in {' or '.join(PACKED)}."
                )
            with file.open("rb") as content:
                if WEB_PAGE.match(content.read(1000)):
                    raise UserError(
                        f"{source} is a web page and not a table. Use the address of the file "
                        "itself, such as that of the button Raw on GitHub."
                    )
            copy.mkdir()
            copy /= file.name
            yield _converted(file, kind, options, copy)
        except UserError as error:
            message = str(error).replace(str(copy), str(source)).replace(str(file), str(source))
            raise UserError(message) from error
        except (pa.ArrowException, UnicodeError) as fault:
            raise UserError(f"{source}: {_explain(fault)}") from fault


def _kind_of(file: Path) -> str | None:
    """What a file is, by its suffix, or without one by how it begins; None if that is unknown."""
    if (suffix := file.suffix.lower()) not in ("", ".txt"):
        return KINDS.get(suffix)
    with file.open("rb") as content:
        start = content.read(1000)
    if start.startswith(b"PAR1"):
        return PARQUET
    if b"\0" in start and unicode_of(file) == UTF8:
        return None
    return JSON if re.match(rb"\W*?[\[{]\s*[{\"]", start) else CSV


def _converted(file: Path, kind: str, options: Dialect, copy: Path) -> Plain:
    if kind == PARQUET:
        return Plain(file, kind, options)
    if kind == EXCEL:
        return Plain(copy, CSV, Dialect(",", UTF8, "."), excel_to_csv(file, copy))
    encoding = unicode_of(file) if kind == JSON else options.encoding or encoding_of(file)
    if not is_utf8(encoding):
        if encoding != options.encoding:
            print(f"{file.name}: read as {encoding}.")
        file = _in_utf8(file, encoding, copy)
    if kind == JSON and is_array(file):
        array_to_lines(file, copy.with_suffix(".jsonl"))
        file = copy.with_suffix(".jsonl")
    return Plain(file, kind, replace(options, encoding=encoding))


def _in_utf8(file: Path, encoding: str, copy: Path) -> Path:
    try:
        with (
            file.open("r", encoding=encoding, newline="") as text,
            copy.open("w", encoding=UTF8, newline="") as same,
        ):
            shutil.copyfileobj(text, same, 1_000_000)
    except UnicodeError as fault:
        raise UserError(
            f"{file}: some characters are not {encoding}. Set data.csv.encoding in config.yaml."
        ) from fault
    return copy


def _from_parquet(source: Path, target: Path) -> int:
    with open_table(source) as file:
        rows, names = file.metadata.num_rows, file.schema_arrow.names
    refuse_duplicates(source, names)
    shutil.copyfile(source, target)
    return rows


def _explain(fault: Exception) -> str:
    reason = " ".join(str(fault).split())
    if isinstance(fault, UnicodeError) or "UTF8" in reason:
        return NOT_UTF8
    if match := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", reason):
        row, expected, got, text = match.groups()
        counts = f"row {row} has {got} fields, the header (row 1) has {expected}"
        return (
            f"{counts}: {text:.80}\nCorrect it: quote texts that contain delimiters or newlines, "
            "and put nothing above the header."
        )
    if "Empty CSV" in reason:
        return NO_ROWS
    if "straddling" in reason:
        return OPEN_QUOTE
    return f"{reason.rstrip('.')}. Correct the file there."
