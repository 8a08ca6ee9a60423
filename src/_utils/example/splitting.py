"""Split the data into train and test rows, with groups of similar rows on one side."""

import numpy as np
import pandas as pd

from _utils.errors import UserError


def split(
    frame: pd.DataFrame,
    *,
    test_size: float,
    group_by: list[str],
    stratify_by: str | None,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into train and test rows so that a group of rows is never on both sides.

    Variants of one car differ little: if one of them were in the train set, the scores of the
    others in the test set would be too good.

    Args:
        frame: The cleaned data.
        test_size: Share of the rows for the test set, between 0 and 1.
        group_by: Columns; rows that are equal in all of them form a group.
        stratify_by: Column whose values have the same shares on both sides, or None. The first row
            of a group counts for the group.
        seed: The same seed gives the same split.

    Returns:
        The train and the test set, in the order of `frame`, with a new index.

    Raises:
        UserError: `test_size` is not a share, a column is unknown, or one side would be empty.
    """
    _check(frame, test_size, [*group_by, stratify_by] if stratify_by else group_by)
    groups = frame.groupby(group_by, dropna=False, sort=True).ngroup().to_numpy()
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    if stratify_by:
        order = _by_stratum(order, groups, frame[stratify_by])
    in_test = np.isin(groups, _choose_groups(order, sizes, test_size))
    if in_test.all() or not in_test.any():
        raise UserError(
            f"test_size={test_size} of {len(sizes)} groups of {group_by} leaves the train or the "
            "test set empty. Use more data, other columns in group_by, or another test_size."
        )
    return frame[~in_test].reset_index(drop=True), frame[in_test].reset_index(drop=True)


def _check(frame: pd.DataFrame, test_size: float, columns: list[str]) -> None:
    if not 0 < test_size < 1:
        raise UserError(
            f"test_size={test_size} is not a share of the rows. Use a number between 0 and 1."
        )
    unknown = [column for column in columns if column not in frame.columns]
    if unknown:
        raise UserError(f"Cannot split by {unknown}. Use some of {list(frame.columns)}.")


def _by_stratum(order: np.ndarray, groups: np.ndarray, column: pd.Series) -> np.ndarray:
    """The same groups stratum by stratum; within a stratum their order stays."""
    strata = pd.Series(pd.factorize(column, sort=True)[0])
    stratum_of_group = strata.groupby(groups).first().to_numpy()
    return order[np.argsort(stratum_of_group[order], kind="stable")]


def _choose_groups(order: np.ndarray, sizes: np.ndarray, share: float) -> list[int]:
    """Go through the groups in order, and choose one whenever the share so far is too small.

    The order is stratum by stratum, so each stratum contributes its share. If a stratum is too
    small for that, the next one makes up for it.
    """
    chosen, taken, seen = [], 0, 0
    for group in order:
        seen += sizes[group]
        if taken + sizes[group] / 2 <= share * seen:
            chosen.append(int(group))
            taken += sizes[group]
    return chosen
