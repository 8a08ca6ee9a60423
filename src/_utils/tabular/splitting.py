"""Split the data into train and test rows, with groups of similar rows on one side."""

import numpy as np
import pandas as pd

from _utils.errors import UserError
from _utils.tabular.contract import Contract


def split(
    frame: pd.DataFrame, contract: Contract, *, test_size: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into train and test rows so that a group of rows is never on both sides.

    Variants of one thing differ little: if one of them were in the train set, the scores of the
    others in the test set would be too good.

    Args:
        frame: The cleaned data.
        contract: `group_by` names the columns in which the rows of a group are equal (each row is
            a group if it is empty). The values of `stratify_by` have the same shares on both sides;
            the first row of a group counts for the group. With `split_by`, a date, the newest
            groups are the test set.
        test_size: Share of the rows for the test set, between 0 and 1.
        seed: The same seed gives the same split.

    Returns:
        The train and the test set, in the order of `frame`, with a new index.

    Raises:
        UserError: `test_size` is not a share, a column is unknown, or one side would be empty.
    """
    by = contract.group_by or ([contract.split_by] if contract.split_by else [])
    _check(frame, test_size, [*by, *filter(None, [contract.stratify_by, contract.split_by])])
    groups = np.arange(len(frame))
    if by:
        groups = frame.groupby(by, dropna=False, sort=True).ngroup().to_numpy()
    sizes = np.bincount(groups)
    if contract.split_by:
        chosen = _newest_groups(frame[contract.split_by], groups, sizes, test_size)
    else:
        order = np.random.default_rng(seed).permutation(len(sizes))
        if contract.stratify_by:
            order = _by_stratum(order, groups, frame[contract.stratify_by])
        chosen = _choose_groups(order, sizes, test_size)
    in_test = np.isin(groups, chosen)
    if in_test.all() or not in_test.any():
        kind = f"groups of {by}" if by else "rows"
        raise UserError(
            f"test_size={test_size} of {len(sizes)} {kind} leaves the train or the test set "
            "empty. Use more data, other columns in group_by, or another test_size."
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


def _choose_groups(order: np.ndarray, sizes: np.ndarray, share: float) -> np.ndarray:
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
    return np.array(chosen, "int64")


def _newest_groups(
    dates: pd.Series, groups: np.ndarray, sizes: np.ndarray, share: float
) -> np.ndarray:
    """The groups with the newest dates that together have this share of the rows.

    A group is as new as its newest row; rows without a date are the oldest.
    """
    newest = dates.reset_index(drop=True).groupby(groups).max().to_numpy()
    order = np.argsort(newest.astype("int64"), kind="stable")[::-1]  # NaT is the lowest number
    before = np.cumsum(sizes[order]) - sizes[order]
    return order[before + sizes[order] / 2 <= share * sizes.sum()]
