"""The model: one scikit-learn pipeline from the columns of the cleaned data to the prediction."""

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
# Not among the features: city_mpg, hwy_mpg and guzzler, from which the target follows, and
# model_type_index and mfr_code, which are mere ids; fuel_cell is hardly ever filled in.
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
MISSING = "missing"  # what the model has in place of a null category or text

# What skops may load besides the types that it trusts anyway.
SKOPS_TRUSTED_TYPES = ["numpy.dtype", "operator.methodcaller", "sklearn.tree._tree.Tree"]


def build_model(texts: pd.Series, max_tfidf_features: int, random_forest: dict) -> Pipeline:
    """Build the unfitted model.

    It is made of scikit-learn alone, so that it can be loaded where this package is missing. It
    accepts nulls, unknown categories, columns that are null throughout, and more columns.

    Args:
        texts: The column TEXT of the training data, which the words are chosen from.
        max_tfidf_features: How many words of the text column count, the most frequent ones first.
        random_forest: Parameters of scikit-learn's RandomForestRegressor.

    Returns:
        A pipeline that takes a DataFrame with the columns FEATURES and predicts TARGET, in
        miles per US gallon.

    Raises:
        UserError: A parameter is unknown or has an impossible value.
    """
    words = _checked(TfidfVectorizer, {"max_features": max_tfidf_features})
    words.set_params(vocabulary=_most_frequent(texts, max_tfidf_features))
    forest = _checked(RandomForestRegressor, random_forest)
    number = SimpleImputer(strategy="median", keep_empty_features=True)
    # Categories that are rare in training, and those met later only, share one column.
    category = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    # One transformer per column: so the importances can be summed by column.
    encoder = ColumnTransformer(
        [(column, number, [column]) for column in NUMERIC]
        + [(column, _filled(category), [column]) for column in CATEGORICAL]
        + [(TEXT, _filled(words), TEXT)]
    )
    return Pipeline([("encoder", encoder), ("forest", forest)])


def features_of(model: Any) -> list[str]:
    """The columns that a fitted model was trained on: today's FEATURES may be others."""
    return [*model.feature_names_in_]


def predict(model: Any, rows: pd.DataFrame) -> np.ndarray:
    """What a model predicts for rows, given the columns that it was trained on.

    Raises:
        UserError: The rows lack one of them.
    """
    if lacking := [name for name in features_of(model) if name not in rows]:
        raise UserError(
            f"A model was trained on {lacking}, which the rows lack; they have {[*rows]}. Give "
            "rows that have them, or let a version be the champion that does without: "
            "mlflow run . -e promote -P version=<number>."
        )
    return model.predict(rows[features_of(model)])


def feature_importance(model: Pipeline) -> pd.Series:
    """Sum the importances of the encoded features by the column that they come from.

    Args:
        model: A fitted pipeline of `build_model`.

    Returns:
        The share of each column, named `importance`, the greatest first; they add up to 1.
    """
    importances = model["forest"].feature_importances_
    slices = model["encoder"].output_indices_
    shares = {name: importances[slices[name]].sum() for name in FEATURES}
    return pd.Series(shares, name="importance").sort_values(ascending=False, kind="stable")


def _most_frequent(texts: pd.Series, number: int) -> list[str]:
    """The most frequent words, of equally frequent ones the first in the alphabet.

    TfidfVectorizer itself cuts among those by a sort that is not stable: another processor
    chooses other words.
    """
    counter = CountVectorizer()
    counts = counter.fit_transform(texts.astype("object").fillna(MISSING)).sum(axis=0).A1
    words = counter.get_feature_names_out()  # in alphabetical order
    return sorted(words[np.argsort(-counts, kind="stable")[:number]].tolist())


def _filled(encoder: BaseEstimator) -> Pipeline:
    """The encoder, with MISSING in place of nulls, and numbers as texts.

    SimpleImputer will not do: it takes a column of nulls for numbers, and None for a value. A code
    that is trained as the text 1 may come as a number in JSON, which beside a null is 1.0.
    """
    return make_pipeline(
        FunctionTransformer(methodcaller("convert_dtypes")),
        FunctionTransformer(methodcaller("astype", "object")),
        FunctionTransformer(methodcaller("fillna", MISSING)),
        FunctionTransformer(methodcaller("astype", "str")),
        encoder,
    )


def _checked(estimator: type[BaseEstimator], parameters: dict) -> BaseEstimator:
    """The estimator with these parameters, checked now and not after the data are loaded."""
    valid = sorted(estimator().get_params())
    unknown = [name for name in parameters if name not in valid]
    if unknown:
        raise UserError(f"{estimator.__name__} has no parameters {unknown}; it has {valid}.")
    checked = estimator(**parameters)
    try:
        checked._validate_params()  # what fit() does first; there is no public name for it
    except ValueError as error:
        raise UserError(f"{error} Mend it in config.yaml; the parameters are {valid}.") from error
    return checked
