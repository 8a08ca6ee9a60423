"""Clean the raw table of the EPA, so that later components can rely on its types and values."""

import numpy as np
import pandas as pd

from _utils.errors import UserError
from _utils.tabular.columns import to_dates, to_numbers, to_text

NUMBER_COLUMNS = [
    "model_yr",
    "engine_displacement",
    "no_cylinders",
    "city_mpg",
    "hwy_mpg",
    "comb_mpg",
    "no_gears",
]
TEXT_COLUMNS = [
    "mfr_name",
    "division",
    "carline",
    "mfr_code",
    "model_type_index",
    "transmission_speed",
    "guzzler",
    "air_aspir_method",
    "air_aspir_method_desc",
    "transmission",
    "transmission_desc",
    "trans_lockup",
    "trans_creeper_gear",
    "drive_sys",
    "drive_desc",
    "fuel_usage",
    "fuel_usage_desc",
    "class",
    "car_truck",
    "fuel_cell",
]
DATE_COLUMN = "release_date"
REQUIRED_COLUMNS = [*NUMBER_COLUMNS, *TEXT_COLUMNS, DATE_COLUMN]
CONVERTERS = (
    dict.fromkeys(NUMBER_COLUMNS, to_numbers)
    | dict.fromkeys(TEXT_COLUMNS, to_text)
    | {DATE_COLUMN: to_dates}
)


def clean(
    raw: pd.DataFrame,
    *,
    unknown_codes: list[str],
    min_comb_mpg: float,
    max_comb_mpg: float,
    max_engine_displacement: float,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Clean the raw table. Cleaning the result again changes nothing.

    Args:
        raw: One row per car, with at least REQUIRED_COLUMNS. It is not modified.
        unknown_codes: Texts and numbers (also inf) that mean "unknown"; such a cell becomes null.
        min_comb_mpg: Smallest plausible `comb_mpg`, in miles per US gallon. Rows below are dropped.
        max_comb_mpg: Largest plausible `comb_mpg`, in miles per US gallon. Rows above are dropped.
        max_engine_displacement: Largest plausible `engine_displacement`, in litres. Rows above are
            dropped, nulls are kept.

    Returns:
        The cleaned table (numbers float64, texts `str`, the date datetime64 without a time) and the
        number of rows or cells that each rule changed, by the name of the rule.

    Raises:
        UserError: A column is missing, a cell cannot be read, or no row is left.
    """
    _check_columns(raw)
    frame, unreadable, corrected = tidy(raw.reset_index(drop=True), unknown_codes)
    dates = {name: unreadable.pop(name) for name in [DATE_COLUMN] if name in unreadable}
    infinite = {name: np.isinf(frame[name]).to_numpy() for name in NUMBER_COLUMNS}
    _refuse(dates, "a date like 2012-05-06")
    _refuse(unreadable, "a number")
    _refuse(
        {name: raw.loc[cells, name] for name, cells in infinite.items() if cells.any()},
        "a finite number",
    )
    frame, dropped = _drop_rows(frame, min_comb_mpg, max_comb_mpg, max_engine_displacement)
    counts = {"rows_in": len(raw), "rows_out": len(frame), **corrected, **dropped}
    return frame, counts


def tidy(
    raw: pd.DataFrame, unknown_codes: list[str]
) -> tuple[pd.DataFrame, dict[str, pd.Series], dict[str, int]]:
    """Convert types and correct cells, without dropping a row or changing the index.

    Args:
        raw: One row per car. It is not modified. Any of REQUIRED_COLUMNS may be missing.
        unknown_codes: Texts and numbers (also inf) that mean "unknown"; such a cell becomes null.

    Returns:
        The table with the types of `clean`, the cells that could not be converted (null in the
        table) by column, and the number of cells that each rule changed.
    """
    codes = [str(code) for code in unknown_codes]
    cells = {name: _is_unknown(column, codes) for name, column in raw.items()}
    unknown = pd.DataFrame({name: each for name, each in cells.items() if each.any()})
    masked = raw.assign(**{name: _nullable(raw[name]).mask(unknown[name]) for name in unknown})
    converted = {name: CONVERTERS[name](masked[name]) for name in masked if name in CONVERTERS}
    unreadable = {
        name: masked.loc[column.isna() & masked[name].notna(), name]
        for name, column in converted.items()
        if column.hasnans and name not in TEXT_COLUMNS
    }
    frame = masked.assign(**converted)
    restored = no_engine = pd.Series(False, index=frame.index)

    # Where the source was made, a CSV reader turned the code "NA" (naturally aspirated) into null.
    if {"air_aspir_method", "air_aspir_method_desc"} <= converted.keys():
        naturally_aspirated = frame["air_aspir_method_desc"].eq("Naturally Aspirated")
        restored = frame["air_aspir_method"].isna() & naturally_aspirated
        frame.loc[restored, "air_aspir_method"] = "NA"

    # Zero litres means "no combustion engine", not a small engine.
    if "engine_displacement" in converted:
        no_engine = frame["engine_displacement"].eq(0)
        frame.loc[no_engine, "engine_displacement"] = np.nan

    corrected = {"unknown_codes": unknown, "restored_na": restored, "zero_displacement": no_engine}
    counts = {rule: int(cells.to_numpy().sum()) for rule, cells in corrected.items()}
    return frame, {name: cells for name, cells in unreadable.items() if len(cells)}, counts


def _check_columns(raw: pd.DataFrame) -> None:
    missing = [column for column in REQUIRED_COLUMNS if column not in raw.columns]
    if missing:
        raise UserError(
            f"The raw data lack the columns {missing}; they have {list(raw.columns)}. Rename the "
            "columns in the source, or change the lists in src/_utils/example/cleaning.py."
        )


def _refuse(cells: dict[str, pd.Series], meaning: str) -> None:
    for name, values in cells.items():
        raise UserError(
            f"'{values.iloc[0]}' in column '{name}' is not {meaning} ({len(values)} such "
            "cells). Correct the source, or add the value to cleaning.unknown_codes in config.yaml "
            "to make it null."
        )


def _is_unknown(column: pd.Series, codes: list[str]) -> pd.Series:
    if pd.api.types.is_float_dtype(column):
        return column.isin(pd.to_numeric(pd.Series(codes, dtype="str"), errors="coerce").dropna())
    whole = pd.api.types.is_integer_dtype(column)
    return (column.astype("str") if whole else column).isin(codes)


def _nullable(column: pd.Series) -> pd.Series:
    # Integer columns with nulls would become decimals
    return column.convert_dtypes() if pd.api.types.is_integer_dtype(column) else column


def _drop_rows(
    frame: pd.DataFrame, min_comb_mpg: float, max_comb_mpg: float, max_engine_displacement: float
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The distinct, plausible rows, and the number of rows that each rule dropped."""
    once = frame.drop_duplicates()
    # Rows without the target are dropped too: a null is never between the limits.
    usual = once[once["comb_mpg"].between(min_comb_mpg, max_comb_mpg)]
    plausible = usual[~usual["engine_displacement"].gt(max_engine_displacement)]
    dropped = {
        "duplicates": len(frame) - len(once),
        "comb_mpg_outliers": len(once) - len(usual),
        "displacement_outliers": len(usual) - len(plausible),
    }
    if plausible.empty:
        raise UserError(
            f"Cleaning leaves none of {len(frame)} rows: {dropped['comb_mpg_outliers']} lie "
            f"outside comb_mpg {min_comb_mpg} to {max_comb_mpg}, "
            f"{dropped['displacement_outliers']} above engine_displacement "
            f"{max_engine_displacement}. Correct these limits under `cleaning` in config.yaml."
        )
    return plausible.reset_index(drop=True), dropped
