import os
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import Pipeline

from _utils.errors import UserError
from _utils.example.cleaning import clean
from _utils.example.model import (
    CATEGORICAL,
    FEATURES,
    NUMERIC,
    SKOPS_TRUSTED_TYPES,
    TARGET,
    TEXT,
    build_model,
    feature_importance,
)
from _utils.example.splitting import split

DATA = Path(__file__).parents[3] / "resources" / "data"
FOREST = {"n_estimators": 2, "random_state": 1}


def cars(**columns) -> pd.DataFrame:
    """Three cars, with these columns instead."""
    numbers, codes = pd.Series([1.0, 2.0, 4.0]), pd.Series(["a", "b", "a"])
    ordinary = dict.fromkeys(NUMERIC, numbers) | dict.fromkeys(CATEGORICAL, codes)
    return pd.DataFrame(ordinary | {TEXT: ["Golf", "Golf Plus", "Polo"]} | columns)


@pytest.fixture(scope="module")
def model():
    return build_model(cars()[TEXT], 10, FOREST).fit(cars(), [40.0, 30.0, 20.0])


@pytest.mark.parametrize(
    ("column", "null"),
    [(NUMERIC[0], np.nan), (CATEGORICAL[0], None), (TEXT, None)],
)
def test_null_column(model, column, null):
    frame = cars(**{column: [null] * 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(model.predict(frame)).all()
        fitted = build_model(frame[TEXT], 10, FOREST).fit(frame, [40.0, 30.0, 20.0])
        assert np.isfinite(fitted.predict(cars())).all()


@pytest.mark.parametrize(
    "columns",
    [
        {CATEGORICAL[0]: ["a", None, "a"], NUMERIC[0]: [1, None, 3], TEXT: ["Golf", None, "Polo"]},
        {CATEGORICAL[0]: "never seen", TEXT: "never seen", "one_more": 1},
    ],
)
def test_odd_values(model, columns):
    assert np.isfinite(model.predict(cars(**columns))).all()


def test_order_of_columns_does_not_matter(model):
    assert (model.predict(cars()[cars().columns[::-1]]) == model.predict(cars())).all()


@pytest.mark.parametrize("max_features", [10_000, "sqrt"])
def test_max_features(max_features):
    model = build_model(cars()[TEXT], 10, FOREST | {"max_features": max_features})
    assert np.isfinite(model.fit(cars(), [40.0, 30.0, 20.0]).predict(cars())).all()


@pytest.mark.parametrize("number", [7, 1000])
def test_max_tfidf_features(number):
    texts = [*cars()[TEXT], *(f"w{each} w{each % 50}" for each in range(99)), None]
    frame = pd.concat([cars()] * 40)[: len(texts)].assign(**{TEXT: texts})
    model = build_model(frame[TEXT], number, FOREST).fit(frame, range(len(frame)))
    words = model["encoder"].named_transformers_[TEXT][-1]
    counts = Counter(" ".join([str(each or "missing") for each in texts]).lower().split())
    most = sorted(counts, key=lambda word: (-counts[word], word))[:number]
    assert words.get_feature_names_out().tolist() == sorted(most)


@pytest.mark.parametrize(
    ("words", "forest", "message"),
    [
        (10, {"n_estimatorss": 9}, r"no parameters \['n_estimatorss'\]; it has .*'n_estimators'"),
        (10, {"n_estimators": -1}, "'n_estimators' .* Got -1 instead"),
        (10, {"max_depth": "deep"}, "'max_depth' .* Got 'deep' instead"),
        (10, {"max_features": 0}, "'max_features' .* Got 0 instead"),
        (0, {}, "'max_features' .* of TfidfVectorizer .* Got 0 instead"),
    ],
)
def test_fault_is_told(words, forest, message):
    with pytest.raises(UserError, match=message):
        build_model(cars()[TEXT], words, forest)


@pytest.mark.slow
def test_loads_without_our_package(model):
    import skops.io  # it takes seconds

    stored = skops.io.dumps(model)
    assert skops.io.get_untrusted_types(data=stored) == SKOPS_TRUSTED_TYPES
    loaded = skops.io.loads(stored, trusted=SKOPS_TRUSTED_TYPES)
    assert (loaded.predict(cars()) == model.predict(cars())).all()
    assert b"_utils" not in pickle.dumps(model).replace(b"sklearn.utils._", b"")


def test_feature_importance(model):
    importance = feature_importance(model)
    assert set(importance.index) == set(FEATURES)
    assert importance.sum() == pytest.approx(1)
    assert importance.is_monotonic_decreasing


def train_on_real_data() -> tuple[Pipeline, pd.DataFrame, pd.DataFrame]:
    """A model, and the real data that it was trained on and those set aside."""
    raw = pd.read_csv(DATA / "epa_fuel_economy_2012.csv")
    limits = {"min_comb_mpg": 5, "max_comb_mpg": 60, "max_engine_displacement": 9}
    frame, _ = clean(raw, unknown_codes=["??"], **limits)
    groups = ["division", "carline"]
    train, test = split(frame, test_size=0.2, group_by=groups, stratify_by="class", seed=42)
    model = build_model(train[TEXT], 20, {"n_estimators": 20, "random_state": 1})
    return model.fit(train, train[TARGET]), train, test


@pytest.fixture(scope="module")
def real():
    return train_on_real_data()


def test_real_data(real):
    model, train, test = real
    mean = DummyRegressor().fit(train, train[TARGET])
    assert mean_absolute_error(test[TARGET], model.predict(test)) < 1.5
    assert mean_absolute_error(test[TARGET], mean.predict(test)) > 3.5
    assert feature_importance(model).index[0] == "engine_displacement"


def test_codes_that_are_numbers_in_json_are_the_texts_of_training():
    known = pd.concat([cars(car_truck=["1", "3", None])] * 5, ignore_index=True)
    encoder = build_model(known[TEXT], 10, FOREST).fit(known, [40.0, 30.0, 20.0] * 5)["encoder"]
    as_texts = encoder.transform(cars(car_truck=["1", "3", None]))
    for codes in ([1.0, 3.0, None], ["1", 3, None], [1, 3, None]):
        frame = cars(car_truck=pd.Series(codes, dtype="object"))
        assert np.array_equal(as_texts, encoder.transform(frame))


@pytest.mark.slow
def test_the_same_seed_on_another_processor(real, tmp_path):
    """The same model without what this processor can do beyond the least that NumPy asks for."""
    model, _, test = real
    test.to_pickle(tmp_path / "test.pkl")
    code = "import test_model, sys, pandas; model, *_ = test_model.train_on_real_data(); "
    code += "model.predict(pandas.read_pickle(sys.argv[1])).dump(sys.argv[2])"
    abilities = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    places = [str(Path(__file__).parent), str(Path(__file__).parents[3] / "src")]
    of_another = {"NPY_DISABLE_CPU_FEATURES": " ".join(abilities), "PYTHONHASHSEED": "7"}
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "test.pkl", tmp_path / "predicted"],
        env=os.environ | of_another | {"PYTHONPATH": os.pathsep.join(places)},
        check=True,
    )
    elsewhere = np.load(tmp_path / "predicted", allow_pickle=True)
    assert (elsewhere == model.predict(test)).all()
