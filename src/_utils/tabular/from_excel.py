"""Convert the first sheet of an Excel file to CSV, so that its columns get the same types."""

import datetime as dt
from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from csv import writer
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import pyarrow as pa

from _utils.errors import UserError
from _utils.tabular.unpack import refuse_bomb

# Types that a CSV file cannot show; a column with other cells as well is converted as text
KINDS = {bool: pa.bool_(), dt.datetime: pa.timestamp("us")}


def excel_to_csv(source: Path, target: Path) -> dict[str, pa.DataType]:
    """Write the first sheet to a CSV file; empty rows are left out.

    Args:
        source: An .xlsx file. Its first row with content has the names of the columns.
        target: The CSV file to write, in UTF-8 and with commas.

    Returns:
        The types of columns that hold nothing but true and false, or nothing but dates.

    Raises:
        UserError: openpyxl is missing; the file is not an Excel file; a column has no name.
    """
    kinds = defaultdict(set)
    with closing(_rows(source)) as rows, target.open("w", encoding="utf-8", newline="") as file:
        csv, names = writer(file), []
        for number, row in rows:
            if not names:
                names = _names(source, row)
                csv.writerow(names)
                continue
            if len(row) > len(names):
                raise UserError(
                    f"{source}: row {number} has {len(row)} cells, but {len(names)} columns have a "
                    "name. Name all columns in the first row with content, and remove what is "
                    "above or beside the table."
                )
            row += [None] * (len(names) - len(row))
            for name, value in zip(names, row, strict=True):
                if value is not None:
                    kinds[name].add(type(value))
            csv.writerow(map(_text, row))
    single = {name: next(iter(found)) for name, found in kinds.items() if len(found) == 1}
    return {name: KINDS[kind] for name, kind in single.items() if kind in KINDS}


def _rows(source: Path) -> Generator[tuple[int, list[Any]], None, None]:
    """Rows of the first sheet with their numbers, without the empty cells at their ends."""
    try:
        from openpyxl import load_workbook  # imported here: only Excel files need it
    except ImportError as missing:
        raise UserError(
            f"{source}: the package openpyxl is missing. Add it to the conda.yml of the component, "
            "or save the table as CSV."
        ) from missing
    try:
        with ZipFile(source) as archive:
            refuse_bomb(source, (member.file_size for member in archive.infolist()))
        book = load_workbook(source, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as fault:
        raise UserError(
            f"{source} is not an Excel file (.xlsx), it is incomplete, or it has a password. Save "
            "it again."
        ) from fault
    try:
        if not book.worksheets:
            raise UserError(f"{source} has no sheet with cells. Put the table into one.")
        sheet = book.worksheets[0]
        if (count := len(book.worksheets)) > 1:
            print(f"{source.name}: the first of {count} sheets is read, '{sheet.title}'.")
        sheet.reset_dimensions()  # some programs write wrong ones
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            cells = [None if value == "" else value for value in row]
            while cells and cells[-1] is None:
                cells.pop()
            if cells:
                yield number, cells
    finally:
        book.close()


def _names(source: Path, row: list[Any]) -> list[str]:
    from openpyxl.utils import get_column_letter

    names = [str(_text(value)).strip() for value in row]
    empty = [get_column_letter(place) for place, name in enumerate(names, 1) if not name]
    if empty:
        raise UserError(
            f"{source}: column {', '.join(empty)} has no name in the first row with content. Name "
            "each column there, and put nothing else above the table."
        )
    return names


def _text(value: Any) -> Any:
    """What stands in the CSV file for the value of a cell."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.datetime() | dt.time():
            return value.isoformat()
        case float():
            return repr(value)
        case _:
            return str(value)
