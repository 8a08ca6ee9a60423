"""How a CSV file is written: its encoding, its delimiter, its decimal mark."""

import codecs
import io
import re
from collections.abc import Iterator
from csv import Error, reader
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from _utils.errors import UserError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLE_BYTES, SAMPLE_ROWS = 100_000, 20
UTF8 = "utf-8"
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What charset-normalizer chooses from; it mistakes short Western texts for others, see _is_western
ENCODINGS = ["cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"]
ENCODINGS += ["cp932", "euc_jp", "cp949", "gb18030", "big5"]
# Letters of Western Europe but Icelandic, whose bytes are frequent in other alphabets; signs, which
# are rarely within a word
LETTERS = r"\xc0-\xcf\xd1-\xd6\xd8-\xdc\xdf-\xef\xf1-\xf6\xf8-\xfc\u0152\u0153"
SIGNS = r"\xa0-\xbf\xd7\u20ac\u2013-\u2026\u2122"
FOREIGN = re.compile(rf"[^\x00-\x7f{LETTERS}{SIGNS}]|[a-zA-Z](?![\xaa\xba\u2019])[{SIGNS}][a-zA-Z]")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; None means that it is to be recognised."""

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None


def checked(options: dict[str, Any] | None) -> Dialect:
    """The options of `data.csv` in config.yaml.

    Raises:
        UserError: An option is unknown, or its value is not possible; all faults are listed.
    """
    names = [field.name for field in fields(Dialect)]
    cures = {
        "delimiter": (_is_delimiter, 'one character, such as ";" or "\\t"'),
        "encoding": (_is_encoding, "the name of an encoding, such as utf-8, cp1252 or utf-16"),
        "decimal": (lambda value: value in (".", ","), '"." or ","'),
    }
    if not isinstance(options or {}, dict):
        raise UserError(f"data.csv: {options!r} is not possible. Use {{delimiter: ';'}} or {{}}.")
    options = {key: value for key, value in (options or {}).items() if value not in (None, "")}
    faults = []
    for name, value in options.items():
        if name not in names:
            faults.append(f"data.csv.{name} is not an option. Use one of {', '.join(names)}.")
        elif not cures[name][0](value):
            cure = f"Use {cures[name][1]}, or null to have it recognised."
            faults.append(f"data.csv.{name}: {value!r} is not possible. {cure}")
    if faults:
        raise UserError("\n".join(faults))
    if options.get("delimiter") == "\\t":  # as '\t' in single quotes is read from YAML
        options["delimiter"] = "\t"
    return Dialect(**options)


def _is_delimiter(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"\\t|[\t !#-\[\]-~]", value))


def _is_encoding(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(io.TextIOWrapper(io.BytesIO(), value))
    except LookupError:  # there is none with this name, or it is not one of texts
        return False


def is_utf8(encoding: str) -> bool:
    """Tell whether a text in this encoding is UTF-8 as well."""
    return codecs.lookup(encoding).name in (UTF8, "utf-8-sig", "ascii")


def unicode_of(source: Path) -> str:
    """The encoding of a file that is UTF-8, or UTF-16 with a mark at its start."""
    with source.open("rb") as file:
        return "utf-16" if file.read(2) in MARKS else UTF8


def encoding_of(source: Path) -> str:
    """Recognise the encoding of a text file, which is read as a whole if it is UTF-8.

    Raises:
        UserError: The encoding is not recognised.
    """
    if unicode_of(source) != UTF8:
        return unicode_of(source)
    if not (sample := _foreign_lines(source)):
        return UTF8
    if _is_western(sample):
        return "cp1252"
    from charset_normalizer import from_bytes  # imported here: only such files need it

    best = from_bytes(sample, cp_isolation=ENCODINGS).best()
    if best is None:
        raise UserError(
            f"{source}: the text is not UTF-8, and its encoding is not recognised. Set "
            "data.csv.encoding in config.yaml, or convert the file to UTF-8."
        )
    return best.encoding


def _foreign_lines(source: Path) -> bytes:
    """Lines with characters beyond ASCII; empty if the file is UTF-8."""
    with source.open("rb") as file:
        decoder = codecs.getincrementaldecoder(UTF8)()
        try:
            while chunk := file.read(1_000_000):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
            return b""
        except UnicodeDecodeError:
            file.seek(0)
            return b"".join(_some(line for line in file if not line.isascii()))


def _some(lines: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        yield line[:SAMPLE_BYTES]
        size += len(line)
        if size > SAMPLE_BYTES:
            return


def _is_western(sample: bytes) -> bool:
    """Tell whether bytes read as cp1252 are letters of Western Europe, rarely two in a row."""
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    letters = re.findall(f"[{LETTERS}]+", text)
    in_rows = sum(len(run) > 1 for run in letters)
    return not FOREIGN.search(text) and in_rows <= 0.1 * len(letters)


def default_delimiter(source: Path) -> str:
    """The delimiter that a file should have by its name."""
    return "\t" if source.suffix.lower() == ".tsv" else ","


def delimiter_of(source: Path) -> str:
    """The delimiter of the fields: the file type's default, unless only another fits the rows."""
    default = default_delimiter(source)
    with source.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    text = io.StringIO(sample.decode("utf-8-sig", "replace"), newline="")

    def fit(delimiter: str) -> tuple[bool, bool, int]:
        text.seek(0)
        try:
            rows = [row for row in islice(reader(text, delimiter=delimiter), SAMPLE_ROWS) if row]
        except Error:
            return False, False, 0
        if len(sample) == SAMPLE_BYTES and len(rows) < SAMPLE_ROWS:
            rows = rows[:-1]  # the sample ends within the last row
        widths = {len(row) for row in rows}
        is_even = len(widths) == 1 and widths != {1}
        return is_even, is_even and delimiter == default, len(rows[0]) if rows else 0

    return max([default, *DELIMITERS], key=fit)
