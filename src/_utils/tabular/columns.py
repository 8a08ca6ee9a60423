"""Convert the columns of a table to numbers, dates and texts; what cannot be read becomes null."""

import pandas as pd

WHOLE = r"^(-?\d+)\.0+$", r"\1"  # a code 5 that became 5.0 in a column of decimals is 5 again
OFFSET = r"([T ].*?) ?(Z|UTC|[+-]\d\d(:?\d\d)?)$"


def to_numbers(column: pd.Series) -> pd.Series:
    """Convert to float64."""
    if column.dtype.kind in "mM":  # pandas would convert times to nanoseconds
        column = to_text(column)
    return pd.to_numeric(column, errors="coerce").astype("float64")


def to_dates(column: pd.Series, written: str | None = None) -> pd.Series:
    """The days as written, ignoring time zones: in UTC the day could be a different one.

    Args:
        column: Dates, or texts.
        written: The format of the texts, as strptime has it; None for ISO 8601.
    """
    if not pd.api.types.is_datetime64_any_dtype(column):
        text = to_text(column)
        if not written:
            text = text.str.replace(OFFSET, r"\1", regex=True)
        column = pd.to_datetime(text, format=written or "ISO8601", errors="coerce")
    # The unit is explicit because the default depends on the version of pandas.
    return column.dt.tz_localize(None).dt.normalize().dt.as_unit("us")


def to_labels(column: pd.Series) -> pd.Series:
    """Convert classes: whole numbers and truth values stay what they are, all else becomes text."""
    if pd.api.types.is_integer_dtype(column):
        return column.astype("Int64")
    return column if pd.api.types.is_bool_dtype(column) else to_text(column)


def to_text(column: pd.Series) -> pd.Series:
    """Convert to text. A whole number is written without decimals, as 5 and not 5.0."""
    if column.dtype != "str":
        # The constructor keeps None; astype("str") of pandas 2 would write "None".
        values = column.astype("object").where(column.notna(), None)
        column = pd.Series(values.to_numpy(), index=column.index, dtype="str")
    return column.str.replace(*WHOLE, regex=True)
