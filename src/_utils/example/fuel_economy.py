"""Corrections and checks of the fuel-economy data that a contract cannot express."""

import numpy as np
import pandas as pd


def correct(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Correct cells.

    Args:
        frame: One row per car, with the types of cleaning. Any column may be missing.

    Returns:
        The corrected table, and which cells each rule changed.
    """
    restored = no_engine = pd.Series(False, index=frame.index)
    # Where the source was made, a CSV reader turned the code "NA" (naturally aspirated) into null
    if {"air_aspir_method", "air_aspir_method_desc"} <= {*frame}:
        naturally_aspirated = frame["air_aspir_method_desc"].eq("Naturally Aspirated")
        restored = frame["air_aspir_method"].isna() & naturally_aspirated
        frame = frame.assign(air_aspir_method=frame["air_aspir_method"].mask(restored, "NA"))
    # Zero litres means "no combustion engine", not a small engine
    if "engine_displacement" in frame:
        no_engine = frame["engine_displacement"].eq(0)
        litres = frame["engine_displacement"].mask(no_engine, np.nan)
        frame = frame.assign(engine_displacement=litres)
    return frame, {"restored_na": restored, "zero_displacement": no_engine}


def violations(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """The rows that break a rule, by the rule: the combined economy lies between the other two."""
    parts = frame[["city_mpg", "hwy_mpg"]]
    between = frame["comb_mpg"].between(parts.min(axis="columns"), parts.max(axis="columns"))
    return {"comb_mpg not between city_mpg and hwy_mpg": ~between}
