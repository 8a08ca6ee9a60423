"""Tables as users have them: three of scikit-learn's own, and one with everything unpleasant."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

# The table's name, and its target
TABLES = {"diabetes": "target", "breast_cancer": "target", "wine": "target", "unpleasant": "gone"}


def make_table(name: str) -> pd.DataFrame:
    """The table of this name, a key of TABLES."""
    if name == "unpleasant":
        return unpleasant()
    return getattr(datasets, f"load_{name}")(as_frame=True).frame


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write it as a CSV file, with numbers as they are and nulls as empty fields."""
    frame.to_csv(path, index=False, lineterminator="\n")
    return path


def shifted(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """New data that a model of the old data is wrong about: all decimals have moved by a lot."""
    numbers = [name for name in frame.select_dtypes("floating") if name != target]
    finite = frame[numbers].replace([np.inf, -np.inf], np.nan)
    return frame.assign(**(frame[numbers] + 2 * finite.std()))


def unpleasant(rows: int = 12_000, seed: int = 0) -> pd.DataFrame:
    """4 % positives, ids, dates, a leak, free text, nulls of all kinds, Inf, and a rare category.

    What tells the classes apart are `balance`, `plan` and a word of `notes`.
    """
    rng = np.random.default_rng(seed)
    balance, calls = rng.normal(100, 30, rows), rng.poisson(3, rows)
    plan = rng.choice(["basic", "extra", "pro"], rows, p=[0.6, 0.3, 0.1])
    odds = 0.08 * (balance - 100) + 2 * (plan == "pro") + (calls - 3) / 2 + rng.logistic(size=rows)
    gone = odds > np.quantile(odds, 0.96)
    words = np.array(["slow", "fine", "quick", "late", "kind", "lost", "again", "never", "first"])
    says = rng.random(rows) < np.where(gone, 0.4, 0.01)
    notes = [" ".join([*rng.choice(words, 6), *(["cancel"] if said else [])]) for said in says]
    days = pd.Timestamp("2024-01-01", tz="Europe/Berlin") + pd.to_timedelta(
        rng.integers(0, 700 * 86_400, rows), unit="s"
    )
    frame = pd.DataFrame({
        "customer_id": rng.permutation(rows) + 1_000_000,
        "uuid": [f"{value:016x}" for value in rng.integers(0, 2**63, rows)],
        "signed up": days.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "last visit": days.strftime("%d.%m.%Y"),
        "balance": balance,
        "calls": calls,
        "plan": plan,
        "region": np.where(np.arange(rows) == 7, "Atlantis", rng.choice(["N", "S", "no"], rows)),
        "notes": notes,
        "income": pd.Series(rng.gamma(2, 20_000, rows).round(2)).mask(rng.random(rows) < 0.3),
        "ratio": np.where(rng.random(rows) < 0.001, np.inf, rng.random(rows)),
        "score": np.where(rng.random(rows) < 0.02, "?", rng.random(rows).round(3).astype(str)),
        "refund": np.where(gone, rng.normal(50, 5, rows), rng.normal(0, 5, rows)),
        "comment": np.full(rows, None, dtype=object),
        "country": "DE",
        "yes": rng.choice(["yes", "no"], rows),
        "gone": np.where(gone, "yes", "no"),
    })  # fmt: skip
    return frame.assign(gone=frame["gone"].mask(rng.random(rows) < 0.001))
