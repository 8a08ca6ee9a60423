"""Checks of the cleaned data: schema, number of rows compared with the raw data, nulls."""

import pandas as pd
import pandera.pandas as pa

from _utils.example.cleaning import (
    DATE_COLUMN,
    NUMBER_COLUMNS,
    REQUIRED_COLUMNS,
    TEXT_COLUMNS,
    tidy,
)

# The codes that the EPA defines. A new code may be correct, but somebody should look at it first.
KNOWN_CODES = {
    "air_aspir_method": ["NA", "OT", "SC", "TC", "TS"],
    "drive_sys": ["4", "A", "F", "P", "R"],
    "fuel_cell": ["N", "Y"],
    "fuel_usage": ["D", "DU", "EL", "G", "GM", "GP", "GPR", "H"],
    "guzzler": ["N", "Y"],
    "trans_creeper_gear": ["N", "Y"],
    "trans_lockup": ["N", "Y"],
    "transmission": ["A", "AM", "AMS", "CVT", "M", "OT", "SA", "SCV"],
}
# Electric cars have neither an engine nor an air intake; the last two are often not filled in.
NULLABLE = [
    "engine_displacement",
    "no_cylinders",
    "air_aspir_method",
    "air_aspir_method_desc",
    "car_truck",
    "fuel_cell",
]


def schema(
    *, min_comb_mpg: float, max_comb_mpg: float, max_engine_displacement: float
) -> pa.DataFrameSchema:
    """Describe the cleaned data: columns, types, codes, and limits.

    Args:
        min_comb_mpg: Smallest allowed `comb_mpg`, in miles per US gallon.
        max_comb_mpg: Largest allowed `comb_mpg`, in miles per US gallon.
        max_engine_displacement: Largest allowed `engine_displacement`, in litres.
    """
    limits = {
        "comb_mpg": pa.Check.in_range(min_comb_mpg, max_comb_mpg),
        "engine_displacement": pa.Check.in_range(0, max_engine_displacement, include_min=False),
    }
    checks = limits | {name: pa.Check.isin(codes) for name, codes in KNOWN_CODES.items()}
    types: dict[str, type | str] = {DATE_COLUMN: "datetime64[us]"}
    types |= dict.fromkeys(NUMBER_COLUMNS, float) | dict.fromkeys(TEXT_COLUMNS, str)
    columns = {
        name: pa.Column(types[name], checks.get(name), nullable=name in NULLABLE)
        for name in REQUIRED_COLUMNS
    }
    return pa.DataFrameSchema(
        columns,
        checks=[
            pa.Check(_rows_are_unique, error="duplicate rows"),
            pa.Check(_combined_is_between, error="comb_mpg not between city_mpg and hwy_mpg"),
        ],
    )


def failure_cases(frame: pd.DataFrame, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """List everything that violates the schema.

    Returns:
        One row per violation, with the columns `column`, `check`, `failure_case` (the wrong value)
        and `index` (its row); an empty table if there are none.
    """
    columns = ["column", "check", "failure_case", "index"]
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return errors.failure_cases[columns]
    return pd.DataFrame(columns=columns)


def row_share(frame: pd.DataFrame, reference: pd.DataFrame) -> float:
    """The number of rows as a share of the distinct rows of the reference (0 if it is empty).

    Duplicates in the reference do not count: new data may repeat rows that were there before.
    """
    once = tidy(reference, unknown_codes=[])[0].drop_duplicates()
    return len(frame) / len(once) if len(once) else 0.0


def null_share(frame: pd.DataFrame) -> pd.Series:
    """The share of nulls in each column, from 0 to 1, in descending order."""
    return frame.isna().mean().sort_values(ascending=False, kind="stable")


def _rows_are_unique(frame: pd.DataFrame) -> bool:
    return not frame.duplicated().any()


def _combined_is_between(frame: pd.DataFrame) -> bool:
    lower = frame[["city_mpg", "hwy_mpg"]].min(axis="columns")
    upper = frame[["city_mpg", "hwy_mpg"]].max(axis="columns")
    return frame["comb_mpg"].between(lower, upper).all()
