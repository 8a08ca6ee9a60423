"""Recognise how dates are written."""

import re
import warnings

import pandas as pd
from pandas.tseries.api import guess_datetime_format

from _utils.tabular.columns import OFFSET

ISO = ""  # dates as in ISO 8601, which a contract has no format for
TRIED = 20  # values that formats are guessed from
LONGEST = 40  # characters of a date
# Formats that pandas does not guess
MORE = ["%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%b-%y"]
MORE += ["%d.%m.%y %H:%M", "%m/%d/%y %H:%M", "%d/%m/%y %H:%M"]


def date_formats(text: pd.Series) -> list[str]:
    """The formats in which all of these texts are dates; more than one if 3/4 is either of two."""
    # ISO 8601 knows 2012 and 20120506 too, which here are codes
    if text.str.match(r"\d{4}-\d\d").all():
        plain = text.str.replace(OFFSET, r"\1", regex=True)
        if _fits(plain, "ISO8601"):
            return [ISO]
    return [each for each in _guesses(text) if _fits(text, each)]


def _guesses(text: pd.Series) -> list[str]:
    """Formats in which one of the first values is a date with at least a year and a month."""
    found: dict[str, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in text.drop_duplicates().head(TRIED):
            if len(value) > LONGEST or not value.isascii() or not re.search(r"\d", value):
                return []
            for day_first in (False, True):
                found[guess_datetime_format(value, dayfirst=day_first) or ""] = None
    found |= dict.fromkeys(MORE)
    return [each for each in found if re.search("%[Yy]", each) and re.search("%[mbB]", each)]


def _fits(text: pd.Series, written: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(pd.to_datetime(text, format=written, errors="coerce").notna().all())
    except ValueError:  # different time zones
        return False
