"""Find columns that reveal the target: one of them alone predicts rows that were held out."""

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from _utils.tabular.columns import to_text

LIMIT = 0.99  # of the score; a column above it is no honest feature
ROWS = 3000  # rows to look at, at most: 119 columns take seconds
MIN_ROWS = 50  # in fewer, a score is chance
FIRST = 100  # rows of which two columns are compared before all others
FOLDS = 3
MIN_CLASS = 5  # rows of a class, at least, to be among those that are scored


def find_leaks(
    features: pd.DataFrame, target: pd.Series, is_classification: bool
) -> dict[str, str]:
    """The columns that reveal the target, each with the reason.

    Args:
        features: The columns to try: float64, datetime64, or text.
        target: Numbers, or classes as text; no nulls. It has the index of `features`.
        is_classification: Whether the target is a class.
    """
    leaks = {
        name: "the same as the target"
        for name, column in features.items()
        if _is_equal(column, target)
    }
    if is_classification:
        sizes = target.value_counts()
        target = target[target.isin(sizes.index[sizes >= MIN_CLASS])]
    if len(target) < MIN_ROWS or target.nunique() < 2:
        return leaks
    rows = _sample(target, is_classification)
    codes = pd.factorize(target[rows])[0] if is_classification else target[rows].to_numpy()
    for name in features.columns.difference([*leaks], sort=False):
        score, metric = _score(_encoded(features.loc[rows, name]), codes, is_classification)
        if score > LIMIT:
            leaks[name] = f"reveals the target: alone it has {metric} {score:.3f} (held-out)"
    return leaks


def _is_equal(column: pd.Series, target: pd.Series) -> bool:
    if column.dtype == target.dtype:
        return bool((column == target).all())
    if column.dtype.kind == "M":
        return False
    parts = [(column.head(FIRST), target.head(FIRST)), (column, target)]  # mostly the first tells
    return all((to_text(one) == to_text(other)).all() for one, other in parts)


def _sample(target: pd.Series, is_classification: bool) -> pd.Index:
    """The rows to look at; of a rare class there are as many as of others, up to their number."""
    if len(target) <= ROWS:
        return target.index
    if not is_classification:
        return target.sample(ROWS, random_state=0).index
    share = ROWS // target.nunique()
    parts = [
        each.sample(min(len(each), max(share, FOLDS)), random_state=0)
        for _, each in target.groupby(target)
    ]
    return pd.concat(parts).index


def _encoded(column: pd.Series) -> np.ndarray:
    """One feature for a tree, which splits numbers; a text that is there once is no help."""
    if column.dtype == "float64":
        # A tree computes in float32
        numbers = column.where(np.isfinite(column)).clip(-1e38, 1e38)
    elif column.dtype.kind == "M":
        numbers = (column - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    else:
        # Sorted, because the order of the rows may be that of the classes; null is -1
        numbers = pd.Series(pd.factorize(column, sort=True)[0])
    return numbers.to_numpy(dtype="float64").reshape(-1, 1)


def _score(feature: np.ndarray, target: np.ndarray, is_classification: bool) -> tuple[float, str]:
    """The score of predictions of rows that were held out, and the name of the metric."""
    tree: DecisionTreeClassifier | DecisionTreeRegressor
    if not is_classification:
        tree = DecisionTreeRegressor(max_depth=10, min_samples_leaf=3, random_state=0)
        folds = KFold(FOLDS, shuffle=True, random_state=0)
        return r2_score(target, cross_val_predict(tree, feature, target, cv=folds)), "R2"
    tree = DecisionTreeClassifier(max_depth=10, min_samples_leaf=3, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    if target.max() > 1:
        predicted = cross_val_predict(tree, feature, target, cv=folds)
        return balanced_accuracy_score(target, predicted), "balanced accuracy"
    shares = cross_val_predict(tree, feature, target, cv=folds, method="predict_proba")
    return roc_auc_score(target, shares[:, 1]), "ROC AUC"
