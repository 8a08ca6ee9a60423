"""Splitting: a part of the data is put aside that the model has never seen anything like."""

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
    """Split into train and test so that a group of rows is never on both sides.

    Variants of one car differ by little: with one of them in the train set, the others would make
    the scores on the test set too good.

    Args:
        frame: The cleaned data.
        test_size: Share of the rows to put aside, between 0 and 1.
        group_by: Columns; rows that are equal in all of them stay together.
        stratify_by: Column whose values get the same share on both sides, or None. The first row
            of a group speaks for it.
        seed: The same seed gives the same split.

    Returns:
        The train and the test set, in the order of `frame`, with a new index.

    Raises:
        UserError: `test_size` is not a share, a column is unknown, or one side would be empty.
    """
    _check(frame, test_size, [*group_by, stratify_by] if stratify_by else group_by)
    groups = frame.groupby(group_by, dropna=False, sort=True).ngroup()
    sizes = groups.value_counts().sort_index().to_numpy()
    order = np.random.default_rng(seed).permutation(len(sizes))
    if stratify_by:
        strata = pd.Series(pd.factorize(frame[stratify_by], sort=True)[0])
        stratum_of_group = strata.groupby(groups.to_numpy()).first().to_numpy()
        order = order[np.argsort(stratum_of_group[order], kind="stable")]
    in_test = groups.isin(_every_so_often(order, sizes, test_size)).to_numpy()
    if in_test.all() or not in_test.any():
        raise UserError(
            f"test_size={test_size} of {len(sizes)} groups of {group_by} leaves the train or the "
            "test set empty. Give more data, other columns in group_by, or another test_size."
        )
    train, test = frame[~in_test], frame[in_test]
    return train.reset_index(drop=True), test.reset_index(drop=True)


def _check(frame: pd.DataFrame, test_size: float, columns: list[str]) -> None:
    if not 0 < test_size < 1:
        raise UserError(
            f"test_size={test_size} is no share of the rows: it lies between 0 and 1, say 0.2."
        )
    unknown = [column for column in columns if column not in frame.columns]
    if unknown:
        raise UserError(f"Cannot split by {unknown}; the columns are {list(frame.columns)}.")


def _every_so_often(order: np.ndarray, sizes: np.ndarray, share: float) -> list[int]:
    """Go through the groups in order and take one whenever the share taken so far is too small.

    As strata lie one after the other in the order, each of them gives its share; what a rare one
    cannot give is made up for by the next, so that no stratum is too small.
    """
    chosen, taken, seen = [], 0, 0
    for group in order:
        seen += sizes[group]
        if taken + sizes[group] / 2 <= share * seen:
            chosen.append(int(group))
            taken += sizes[group]
    return chosen
