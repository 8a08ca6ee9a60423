"""The verdict of monitoring: whether the measurements are reason for an alarm."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from scipy import stats

from _utils.tabular.scores import DIRECTIONS, MINIMIZE
from _utils.tabular.wording import number, shown, shown_loss

PERFORMANCE = "performance"  # stands for a column in the reasons, if the error is the reason


def judge(
    table: pd.DataFrame,
    metric: str,
    scores: dict[str, float],
    rows: int,
    *,
    max_psi: float,
    significance: float,
    max_new_missing: float,
    max_unseen_share: float,
    max_loss_ratio: float,
) -> pd.Series:
    """Find the reasons for an alarm: values above their limit that chance does not explain.

    Args:
        table: The result of `compare`.
        metric: The main metric.
        scores: The result of `performance`.
        rows: Number of rows of the batch.
        max_psi: Largest PSI of a column without an alarm.
        significance: Probability of an alarm by chance, for all columns together: each column gets
            an equal part (Bonferroni's correction).
        max_new_missing: How much larger than the reference's the share of nulls may be.
        max_unseen_share: Largest share of values that the reference lacks; for texts, of words.
        max_loss_ratio: Largest loss of the main metric, as a multiple of that on the test data.

    Returns:
        The reasons by column, with PERFORMANCE for the error; the most severe first. It is empty if
        there is no alarm.
    """
    columns, reasons = [], []
    if scores.get("loss_ratio_low", 0) > max_loss_ratio:  # False for NaN
        score = scores[metric]
        value = f"{shown(metric)} {number(score) if abs(score) >= 1000 else f'{score:.3g}'}"
        so = "" if DIRECTIONS[metric] == MINIMIZE else f", so {shown_loss(metric)}"
        ratio = f"{scores['loss_ratio']:.2f} times the test error (limit {max_loss_ratio})"
        columns, reasons = [PERFORMANCE], [f"{value}{so} is {ratio}"]
    limits = (max_psi, max_new_missing, max_unseen_share, significance / len(table))
    for row in table.sort_values("psi", ascending=False, kind="stable").itertuples():
        of_column = [*_reasons_of_column(row, rows, *limits)]
        columns += [row.column] * len(of_column)
        reasons += of_column
    return pd.Series(reasons, index=columns, dtype="object")


def _reasons_of_column(
    row: Any,
    rows: int,
    max_psi: float,
    max_new_missing: float,
    max_unseen_share: float,
    level: float,
) -> Iterator[str]:
    """The reasons in one row of the table; `level` is the column's part of the significance."""
    if row.psi > max_psi and row.p_value < level:
        test = f"{row.test} {row.statistic:.3g}, p {chance(row.p_value)}"
        yield f"PSI {row.psi:.2f}, limit {max_psi} ({test})"
    if _above(row.missing, rows, row.missing_reference + max_new_missing, level):
        yield f"{row.missing:.1%} missing ({row.missing_reference:.1%} in training data)"
    filled_rows = round(rows * (1 - row.missing))
    if _above(row.unseen, filled_rows, max_unseen_share, level):
        yield f"{row.unseen:.1%} unseen, such as {row.unseen_values}"


def chance(p_value: float) -> str:
    """A p-value as people read it."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def summarize(reasons: pd.Series, most: int = 3) -> str:
    """The verdict in one line, with at most that many reasons."""
    if reasons.empty:
        return "No alarm: no measure is above its limit"
    texts = [
        reason if column == PERFORMANCE else f"{column} {reason}"
        for column, reason in reasons.items()
    ]
    more = [f"{len(texts) - most} more in report.html"] if len(texts) > most else []
    return f"ALARM: {'; '.join([*texts[:most], *more])}"


def _above(share: float, rows: int, limit: float, level: float) -> bool:
    """Whether a share of the rows is above the limit, and chance does not explain it (binomial)."""
    if not share > limit or not rows:  # False for NaN
        return False
    count = min(rows, round(share * rows))
    return stats.binomtest(count, rows, min(limit, 1.0), alternative="greater").pvalue < level
