"""Models: one scikit-learn pipeline from the cleaned columns to the prediction.

It uses nothing but scikit-learn, so that it can be loaded where `_utils` is missing.
"""

from operator import methodcaller
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from _utils.errors import UserError
from _utils.internals import check_parameters
from _utils.tabular.contract import Contract
from _utils.tabular.terms import CATEGORY, DATE, NUMBER, TEXT

MISSING = "missing"  # replaces a null category or text


def random_forest(
    contract: Contract, rows: pd.DataFrame, max_tfidf_features: int, parameters: dict[str, Any]
) -> Pipeline:
    """An unfitted random forest.

    It accepts nulls, unknown categories, columns with nothing but nulls, and additional columns.

    Args:
        contract: Its features, and whether the target is a number or a class.
        rows: The training data; the vocabularies of the texts come from it.
        max_tfidf_features: Size of a vocabulary: the most frequent words of the text column.
        parameters: Parameters of scikit-learn's RandomForestRegressor or RandomForestClassifier.

    Returns:
        A pipeline that takes a DataFrame with the features, and predicts the target.

    Raises:
        UserError: A parameter is unknown or has an invalid value.
    """
    kind = RandomForestClassifier if contract.is_classification else RandomForestRegressor
    estimator = _checked(kind, parameters)
    number = make_pipeline(_float(), SimpleImputer(strategy="median", keep_empty_features=True))
    encoder = ColumnTransformer(_encoders(contract, rows, max_tfidf_features, number))
    return Pipeline([("encoder", encoder), ("model", estimator)])


def gradient_boosting(
    contract: Contract, rows: pd.DataFrame, max_tfidf_features: int, parameters: dict[str, Any]
) -> Pipeline:
    """As `random_forest`, but gradient boosting: dense, and a null number is a value like others.

    Args:
        contract: As for `random_forest`.
        rows: As for `random_forest`.
        max_tfidf_features: As for `random_forest`.
        parameters: Parameters of scikit-learn's HistGradientBoostingRegressor or -Classifier.
    """
    kinds = HistGradientBoostingRegressor, HistGradientBoostingClassifier
    estimator = _checked(kinds[contract.is_classification], parameters)
    encoders = _encoders(contract, rows, max_tfidf_features, _float())
    encoder = ColumnTransformer(encoders, sparse_threshold=0)
    return Pipeline([("encoder", encoder), ("model", estimator)])


def _encoders(
    contract: Contract, rows: pd.DataFrame, max_tfidf_features: int, number: BaseEstimator
) -> list[tuple[str, BaseEstimator, Any]]:
    """One transformer for the features of each kind, but one for each text; none has their names.

    scikit-learn refuses some of those, such as `a__b` and `n_jobs`.
    """
    # Categories that are rare or absent in the training data share one column
    category = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    encoders = {NUMBER: number, CATEGORY: _filled(category), DATE: _days()}
    _checked(TfidfVectorizer, {"max_features": max_tfidf_features})
    found: dict[str, tuple[str, BaseEstimator, Any]] = {}
    for name, kind in contract.features.items():
        if kind == TEXT:
            key = f"{TEXT} {len(found)}"
            found[key] = (key, _filled(_words(rows[name], max_tfidf_features)), name)
        else:
            found.setdefault(kind, (kind, encoders[kind], []))[-1].append(name)
    return [*found.values()]


def _float() -> FunctionTransformer:
    return FunctionTransformer(methodcaller("astype", "float64"), feature_names_out="one-to-one")


def _days() -> Pipeline:
    """A date as the number of days since 1970; for a null, the lowest of all numbers."""
    return make_pipeline(
        FunctionTransformer(methodcaller("to_numpy", "datetime64[D]")),
        FunctionTransformer(methodcaller("astype", "float64")),
    )


def _words(texts: pd.Series, number: int) -> TfidfVectorizer:
    """Counts the most frequent words; of equally frequent ones, the first in alphabetical order.

    TfidfVectorizer itself breaks ties by a sort that is not stable, so that the vocabulary would
    depend on the processor.
    """
    texts = texts.astype("object").fillna(MISSING)
    counter = CountVectorizer()
    try:
        counts = counter.fit_transform(texts).sum(axis=0).A1
    except ValueError:  # no text has a word of two letters
        counter, counts = CountVectorizer().fit([MISSING]), np.array([1])
    words = counter.get_feature_names_out()  # in alphabetical order
    most_frequent = sorted(words[np.argsort(-counts, kind="stable")[:number]].tolist())
    return TfidfVectorizer(max_features=number, vocabulary=most_frequent)


def _filled(encoder: BaseEstimator) -> Pipeline:
    """Put steps before the encoder that replace nulls by MISSING and convert numbers to text.

    SimpleImputer does not work here: it treats a column of nulls as numbers, and None as a value.
    The conversion is for requests in JSON, where a code that was the text "1" in training may be
    the number 1, or 1.0 beside a null.
    """
    return make_pipeline(
        FunctionTransformer(methodcaller("convert_dtypes")),
        FunctionTransformer(methodcaller("astype", "object")),
        FunctionTransformer(methodcaller("fillna", MISSING)),
        FunctionTransformer(methodcaller("astype", "str")),
        encoder,
    )


def _checked(estimator: type[BaseEstimator], parameters: dict[str, Any]) -> BaseEstimator:
    """Create the estimator and check its parameters now, before the data are encoded."""
    valid = sorted(estimator().get_params())
    unknown = [name for name in parameters if name not in valid]
    if unknown:
        raise UserError(
            f"{estimator.__name__} has no parameters {unknown}; it has {valid}. Correct the names "
            "under `modeling` in config.yaml."
        )
    checked = estimator(**parameters)
    try:
        check_parameters(checked)
    except ValueError as error:
        raise UserError(f"{error} Correct it under `modeling` in config.yaml.") from error
    return checked
