"""Guess what a column of an unknown table is: number, category, text, date or id, and why."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from _utils.tabular.columns import to_text
from _utils.tabular.date_formats import date_formats
from _utils.tabular.terms import CATEGORY, DATE, ID, NUMBER, TEXT

# What people and programs write where a number or a date is unknown
NULL_WORDS = re.compile(
    r"\s*(|[-.?*_]{1,3}|n/?a|n\.a\.|nan|nat|null|none|nil|missing|unknown"
    r"|#(n/a|div/0!|name\?|null!|num!|ref!|value!))\s*",
    re.IGNORECASE,
)
# Numbers that no step reads, such as $1,234.50 or 5 %
SIGNED = r"\s*[-+(]*[$€£¥]? ?(\d+|\d{1,3}([,.' \u00a0\u202f]\d{3})+)([.,]\d+)? ?[%$€£¥]?\)?\s*"
PLAINLY = "as 1234.5, without $, % or a comma between thousands"
UNKNOWN = (-9, -99, -999, -9999)  # numbers that people write where one is unknown
FEW = 40  # distinct values of a category, at most
SHOWN = 20  # values that a reason shows, at most
SHOWN_FROM = 5  # rows that have a value, at least, so that it says nothing about one person
UNIQUE, NAMED_UNIQUE = 0.98, 0.9  # share of distinct values of an id, by its name or without
SMALL = 20  # rows; in a table of fewer, numbers are unique by chance
ID_NAME = {"id", "ids", "uuid", "guid", "key", "index", "identifier"}
CODE = r"[!-~]{1,100}"  # a word without spaces or letters of other alphabets
WORD = r"\w\w"  # what a model of words can use


@dataclass(frozen=True)
class Guess:
    """What a column seems to be."""

    kind: str
    reason: str
    use: bool = True
    format: str | None = None  # of a date
    has_infinity: bool = False
    codes: tuple[str, ...] = ()  # cells that have to become null

    @property
    def is_feature(self) -> bool:
        """Whether the model uses the column."""
        return self.use and self.kind != ID


def guess_kind(name: str, column: pd.Series) -> Guess:
    """Guess the kind of a column; the reason has no value of an id or a text."""
    known = column.dropna()
    if known.empty:
        return Guess(CATEGORY, "no value in any row", use=False)
    if is_datetime64_any_dtype(known):
        guess = Guess(DATE, "dates")
    else:
        guess = _guess_number(name, known) or _guess_date(known) or _guess_text(name, known)
    words = f"; {', '.join(map(repr, guess.codes))} read as null" if guess.codes else ""
    known = known[~known.isin(guess.codes)] if guess.codes else known
    share = 1 - len(known) / len(column)
    nulls = f"; {max(share, 0.001):.1%} null" if share else ""
    guess = replace(guess, reason=f"{guess.reason}{words}{nulls}")
    # A value beside nulls tells something, unless the nulls become that value, as those of numbers
    if known.nunique() == 1 and (not share or guess.kind in (NUMBER, DATE)):
        return replace(guess, use=False, reason=f"the same value in all rows{words}{nulls}")
    return guess


def without_null_words(column: pd.Series) -> pd.Series:
    """The column with the words for unknown cells as nulls, if it is text."""
    text = column if column.dtype == "str" else to_text(column)
    return text.mask(text.str.fullmatch(NULL_WORDS).fillna(False).astype(bool))


def as_numbers(column: pd.Series) -> tuple[pd.Series, tuple[str, ...]] | None:
    """The numbers of a column, and the words in it that mean unknown; None if it has other texts.

    Texts with zeros in front, as in 00501, are codes and no numbers.
    """
    if is_bool_dtype(column) or column.dtype.kind in "mM":
        return None
    if is_numeric_dtype(column):
        return column.dropna(), ()
    text = without_null_words(column).dropna()
    if text.empty or text.str.match(r"\s*[-+]?0\d").any():
        return None
    numbers = pd.to_numeric(text, errors="coerce")
    return None if numbers.isna().any() else (numbers, _null_words(column))


def is_whole(numbers: pd.Series) -> bool:
    """Whether all of these numbers are whole ones."""
    if numbers.dtype.kind in "iu":
        return True
    decimals = numbers.astype("float64")
    return bool(np.isfinite(decimals).all() and (decimals % 1 == 0).all())


def _guess_number(name: str, column: pd.Series) -> Guess | None:
    found = as_numbers(column)
    if found is None:
        return None
    numbers, codes = found
    if numbers.dtype.kind in "iu" and (why := _why_id(name, numbers)):
        return Guess(ID, why, codes=codes)
    infinite = int(np.isinf(numbers.astype("float64")).sum())
    told = f"; {infinite} infinite, which become null" if infinite else ""
    what = f"whole numbers, {numbers.nunique()} different" if is_whole(numbers) else "decimals"
    lowest = numbers.min()
    if lowest in UNKNOWN and (numbers[numbers != lowest] >= 0).all() and numbers.max() >= 0:
        told += f"; does {lowest:.0f} mean unknown? Then add it to cleaning.unknown_codes"
    days = is_whole(numbers) and numbers.between(19000101, 21001231).all()
    if days and date_formats(to_text(numbers)):
        told += "; are they dates? Then set kind: date, format: '%Y%m%d'"
    return Guess(NUMBER, what + told, has_infinity=infinite > 0, codes=codes)


def _guess_date(column: pd.Series) -> Guess | None:
    if is_bool_dtype(column) or column.dtype.kind == "m":
        return None
    text = without_null_words(column).dropna()
    formats = date_formats(text) if len(text) else []
    if not formats:
        return None
    shown = [each or "ISO 8601" for each in formats]
    doubt = f"; {shown[1]} fits too" if len(shown) > 1 else ""
    reason = f"dates as in {shown[0]}{doubt}"
    return Guess(DATE, reason, format=formats[0] or None, codes=_null_words(column))


def _guess_text(name: str, column: pd.Series) -> Guess:
    text = to_text(column)
    counts = text.value_counts()
    few = len(counts) <= FEW
    if not few and is_signed(text):
        return Guess(TEXT, f"numbers with signs; to use them, write them {PLAINLY}", use=False)
    if not (few and len(counts) <= 2) and (why := _why_id(name, text)):
        return Guess(ID, why)
    what = f"{len(counts)} different values" if len(counts) > 1 else "one value"
    words = text.str.contains(WORD, regex=True).mean()
    if few and (len(counts) * 2 <= len(text) or words < 0.5):
        return Guess(CATEGORY, _with_values(what, counts))
    if words < 0.5:
        return Guess(CATEGORY, f"{what}, without words")
    return Guess(TEXT, f"texts, {what}")


def is_signed(text: pd.Series) -> bool:
    """Whether all of these texts are numbers with signs that no step reads, but for null words."""
    known = without_null_words(text).dropna()
    has_sign = known.str.contains(r"[$€£¥%,'()\u00a0\u202f]").any()
    return bool(has_sign and known.str.fullmatch(SIGNED).all())


def _why_id(name: str, values: pd.Series) -> str:
    """Why whole numbers or texts are ids; empty if they are none."""
    rows, distinct = len(values), values.nunique()
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    named = bool(ID_NAME & {word.lower() for word in words})
    is_number = values.dtype.kind in "iu"
    if not is_number and values.str.fullmatch(CODE).mean() < UNIQUE:
        return ""
    is_unique = rows >= SMALL and distinct >= rows * (NAMED_UNIQUE if named else UNIQUE)
    if is_unique and (not is_number or named or _is_dense(values)):
        return "an id: hardly a value is there twice"
    if named and distinct > FEW and {"id", "ids", "uuid", "guid"} & {words[-1].lower()}:
        return f"an id by its name, {distinct} different; rows that share one belong together"
    return ""


def _is_dense(numbers: pd.Series) -> bool:
    """Whether numbers look counted, or all have the same number of digits, as ids do."""
    low, high = int(numbers.min()), int(numbers.max())
    counted = high - low < (10 if len(numbers) >= 1000 else 2) * len(numbers)
    return numbers.is_unique and (counted or len(str(low)) == len(str(high)) >= 6)


def _null_words(column: pd.Series) -> tuple[str, ...]:
    """The words for unknown cells in a column of texts, but for an empty one, the commonest first.

    An empty text is among them where there is one: it would be no number and no date.
    """
    text = to_text(column)
    found = text[without_null_words(column).isna()]
    return tuple(map(str, found.value_counts().index))


def _with_values(what: str, counts: pd.Series) -> str:
    """The reason with the commonest values."""
    shown = [str(value) for value in counts[counts >= SHOWN_FROM].index[:SHOWN]]
    return f"{what}: {' | '.join(printable(text[:30]) for text in shown)}" if shown else what


def printable(text: str) -> str:
    """The text without signs that a comment of YAML cannot have, such as new lines."""
    return "".join(each if each.isprintable() else "?" for each in text)
