"""The model: one scikit-learn pipeline from the cleaned columns to the prediction."""

from operator import methodcaller
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from _utils.errors import UserError

TARGET = "comb_mpg"
# Not features: city_mpg, hwy_mpg and guzzler, because they reveal the target; model_type_index and
# mfr_code, because they are ids; fuel_cell, because it is rarely filled in.
NUMERIC = ["engine_displacement", "no_cylinders", "no_gears"]
CATEGORICAL = [
    "mfr_name",
    "division",
    "air_aspir_method",
    "transmission",
    "trans_lockup",
    "trans_creeper_gear",
    "drive_sys",
    "fuel_usage",
    "class",
    "car_truck",
]
TEXT = "carline"
FEATURES = [*NUMERIC, *CATEGORICAL, TEXT]
MISSING = "missing"  # replaces a null category or text

# Types that skops may load, besides those that it trusts by default.
SKOPS_TRUSTED_TYPES = ["numpy.dtype", "operator.methodcaller", "sklearn.tree._tree.Tree"]


def build_model(texts: pd.Series, max_tfidf_features: int, random_forest: dict) -> Pipeline:
    """Build the unfitted model.

    It uses nothing but scikit-learn, so that it can be loaded where `_utils` is missing. It accepts
    nulls, unknown categories, columns with nothing but nulls, and additional columns.

    Args:
        texts: The column TEXT of the training data; the vocabulary comes from it.
        max_tfidf_features: Size of the vocabulary: the most frequent words of the text column.
        random_forest: Parameters of scikit-learn's RandomForestRegressor.

    Returns:
        A pipeline that takes a DataFrame with the columns FEATURES and predicts TARGET, in
        miles per US gallon.

    Raises:
        UserError: A parameter is unknown or has an invalid value.
    """
    words = _checked(TfidfVectorizer, {"max_features": max_tfidf_features})
    words.set_params(vocabulary=_most_frequent(texts, max_tfidf_features))
    forest = _checked(RandomForestRegressor, random_forest)
    number = SimpleImputer(strategy="median", keep_empty_features=True)
    # Categories that are rare or absent in the training data share one column.
    category = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    # One transformer per column, so that `feature_importance` can sum by column.
    encoder = ColumnTransformer(
        [(column, number, [column]) for column in NUMERIC]
        + [(column, _filled(category), [column]) for column in CATEGORICAL]
        + [(TEXT, _filled(words), TEXT)]
    )
    return Pipeline([("encoder", encoder), ("forest", forest)])


def features_of(model: Any) -> list[str]:
    """The columns that a fitted model was trained on, which may differ from today's FEATURES."""
    return [*model.feature_names_in_]


def predict(model: Any, rows: pd.DataFrame) -> np.ndarray:
    """Predict rows, using the columns that the model was trained on.

    Raises:
        UserError: The rows lack one of these columns.
    """
    if lacking := [name for name in features_of(model) if name not in rows]:
        raise UserError(
            f"A model was trained on {lacking}, which the rows lack; they have {[*rows]}. Add the "
            "columns, or promote a version that does not need them with "
            "mlflow run . -e promote -P version=<number>."
        )
    return model.predict(rows[features_of(model)])


def feature_importance(model: Pipeline) -> pd.Series:
    """Sum the importances of the encoded features for each column.

    Args:
        model: A fitted pipeline from `build_model`.

    Returns:
        The share of each column, named `importance`, in descending order; the sum is 1.
    """
    importances = model["forest"].feature_importances_
    slices = model["encoder"].output_indices_
    shares = {name: importances[slices[name]].sum() for name in FEATURES}
    return pd.Series(shares, name="importance").sort_values(ascending=False, kind="stable")


def _most_frequent(texts: pd.Series, number: int) -> list[str]:
    """The most frequent words; among equally frequent words, the first in alphabetical order.

    TfidfVectorizer itself breaks ties by a sort that is not stable, so that the vocabulary would
    depend on the processor.
    """
    counter = CountVectorizer()
    counts = counter.fit_transform(texts.astype("object").fillna(MISSING)).sum(axis=0).A1
    words = counter.get_feature_names_out()  # in alphabetical order
    return sorted(words[np.argsort(-counts, kind="stable")[:number]].tolist())


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


def _checked(estimator: type[BaseEstimator], parameters: dict) -> BaseEstimator:
    """Create the estimator and check its parameters now, before the data are loaded."""
    valid = sorted(estimator().get_params())
    unknown = [name for name in parameters if name not in valid]
    if unknown:
        raise UserError(
            f"{estimator.__name__} has no parameters {unknown}; it has {valid}. Correct the names "
            "under `modeling` in config.yaml."
        )
    checked = estimator(**parameters)
    try:
        checked._validate_params()  # what fit() does first; there is no public name for it
    except ValueError as error:
        raise UserError(f"{error} Correct it under `modeling` in config.yaml.") from error
    return checked
