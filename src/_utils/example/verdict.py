"""The verdict of monitoring: whether what was measured is reason for an alarm."""

import pandas as pd
from scipy import stats


def judge(
    table: pd.DataFrame,
    scores: dict[str, float],
    rows: int,
    *,
    max_psi: float,
    significance: float,
    max_new_missing: float,
    max_unseen_share: float,
    max_mae_ratio: float,
) -> pd.Series:
    """Find the reasons for an alarm: limits that are exceeded, and not by chance.

    Args:
        table: What `drift.compare` returns.
        scores: What `drift.performance` returns.
        rows: How many rows the batch has.
        max_psi: What the PSI of a column may be at most.
        significance: The probability of an alarm by mere chance, over all columns together: each
            has its share of it (Bonferroni's correction).
        max_new_missing: By how much the share of nulls may exceed the reference's.
        max_unseen_share: Share of values, of texts of words, that the reference may not have.
        max_mae_ratio: How many times the test data's mean absolute error may be reached.

    Returns:
        The reasons by column, `performance` for that of the errors; the most severe first. There
        is no reason for an alarm if it is empty.
    """
    level, reasons = significance / len(table), []
    if scores.get("mae_ratio", 0) > max_mae_ratio and _lowest(scores, significance) > max_mae_ratio:
        told = f"MAE {scores['mae']:.3g}, {scores['mae_ratio']:.2f} times that of the test data"
        reasons.append(("performance", f"{told}, above {max_mae_ratio}"))
    for row in table.sort_values("psi", ascending=False, kind="stable").itertuples():
        if row.psi > max_psi and row.p_value < level:
            told = f"PSI {row.psi:.2f} above {max_psi} ({row.test} {row.statistic:.3g}, "
            reasons.append((row.column, f"{told}p {row.p_value:.1g})"))
        limit = row.missing_reference + max_new_missing
        if _above(row.missing, rows, limit, level):
            told = f"{row.missing:.1%} missing, in the reference {row.missing_reference:.1%}"
            reasons.append((row.column, told))
        known_rows = round(rows * (1 - row.missing))
        if _above(row.unseen, known_rows, max_unseen_share, level):
            reasons.append((row.column, f"{row.unseen:.1%} unseen: {row.unseen_values}"))
    columns, texts = zip(*reasons, strict=True) if reasons else ((), ())
    return pd.Series(texts, index=columns, dtype="object")


def summarize(reasons: pd.Series, most: int = 3) -> str:
    """The verdict in one line, with that many reasons."""
    if reasons.empty:
        return "No alarm: the batch is like the reference"
    told = [f"{column}: {reason}" for column, reason in reasons.items()]
    more = [f"and {len(told) - most} more (report.html)"] if len(told) > most else []
    return f"ALARM: {'; '.join([*told[:most], *more])}"


def _above(share: float, rows: int, limit: float, level: float) -> bool:
    """Whether a share of the rows is above the limit, and not by chance (binomial test)."""
    if not share > limit or not rows:  # NaN is not
        return False
    count = min(rows, round(share * rows))
    return stats.binomtest(count, rows, min(limit, 1.0), alternative="greater").pvalue < level


def _lowest(scores: dict[str, float], significance: float) -> float:
    """The least that the ratio may really be (one-sided t interval); NaN for one row."""
    quantile = stats.t.ppf(1 - significance, scores["labelled_rows"] - 1)
    return scores["mae_ratio"] * (1 - quantile * scores["mae_error"] / scores["mae"])
