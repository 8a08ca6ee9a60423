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
from _utils.example.fuel_economy import correct
from _utils.models.publish import TRUSTED_TYPES
from _utils.tabular.cleaning import clean
from _utils.tabular.contract import Contract, parse_contract, read_contract
from _utils.tabular.model import gradient_boosting, random_forest
from _utils.tabular.splitting import split
from _utils.tabular.terms import CATEGORY, NUMBER

DATA = Path(__file__).parents[3] / "resources" / "data"
CARS = read_contract(DATA / "fuel_economy.contract.yaml", {"columns": {"comb_mpg": {"max": 60}}})
FEATURES = [*CARS.features]
NUMERIC = [name for name, kind in CARS.features.items() if kind == NUMBER]
CATEGORICAL = [name for name, kind in CARS.features.items() if kind == CATEGORY]
TEXT, TARGET = "carline", CARS.target
FOREST = {"n_estimators": 2, "random_state": 1}


def build_model(
    rows: pd.DataFrame, words: int, forest: dict, contract: Contract = CARS
) -> Pipeline:
    return random_forest(contract, rows, words, forest)


def cars(**columns) -> pd.DataFrame:
    """Three cars, with these columns instead."""
    numbers, codes = pd.Series([1.0, 2.0, 4.0]), pd.Series(["a", "b", "a"])
    ordinary = dict.fromkeys(NUMERIC, numbers) | dict.fromkeys(CATEGORICAL, codes)
    return pd.DataFrame(ordinary | {TEXT: ["Golf", "Golf Plus", "Polo"]} | columns)


@pytest.fixture(scope="module")
def model():
    return build_model(cars(), 10, FOREST).fit(cars(), [40.0, 30.0, 20.0])


@pytest.mark.parametrize(
    ("column", "null"),
    [(NUMERIC[0], np.nan), (CATEGORICAL[0], None), (TEXT, None)],
)
def test_null_column(model, column, null):
    frame = cars(**{column: [null] * 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(model.predict(frame)).all()
        fitted = build_model(frame, 10, FOREST).fit(frame, [40.0, 30.0, 20.0])
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
    model = build_model(cars(), 10, FOREST | {"max_features": max_features})
    assert np.isfinite(model.fit(cars(), [40.0, 30.0, 20.0]).predict(cars())).all()


@pytest.mark.parametrize("number", [7, 1000])
def test_max_tfidf_features(number):
    texts = [*cars()[TEXT], *(f"w{each} w{each % 50}" for each in range(99)), None]
    frame = pd.concat([cars()] * 40)[: len(texts)].assign(**{TEXT: texts})
    model = build_model(frame, number, FOREST).fit(frame, range(len(frame)))
    [words] = [each[-1] for name, each, _ in model["encoder"].transformers_ if "text" in name]
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
        build_model(cars(), words, forest)


@pytest.mark.slow
def test_loads_without_our_package(model):
    import skops.io  # it takes seconds

    stored = skops.io.dumps(model)
    assert {*skops.io.get_untrusted_types(data=stored)} <= {*TRUSTED_TYPES}
    loaded = skops.io.loads(stored, trusted=TRUSTED_TYPES)
    assert (loaded.predict(cars()) == model.predict(cars())).all()
    assert b"_utils" not in pickle.dumps(model).replace(b"sklearn.utils._", b"")


def train_on_real_data() -> tuple[Pipeline, pd.DataFrame, pd.DataFrame]:
    """A model, and the real data that it was trained on and those set aside."""
    raw = pd.read_csv(DATA / "epa_fuel_economy_2012.csv")
    frame, _ = clean(raw, CARS, ["??"], correct)
    train, test = split(frame, CARS, test_size=0.2, seed=42)
    model = build_model(train, 20, {"n_estimators": 20, "random_state": 1})
    return model.fit(train[FEATURES], train[TARGET]), train, test


@pytest.fixture(scope="module")
def real():
    return train_on_real_data()


def test_real_data(real):
    model, train, test = real
    mean = DummyRegressor().fit(train, train[TARGET])
    assert mean_absolute_error(test[TARGET], model.predict(test)) < 1.5
    assert mean_absolute_error(test[TARGET], mean.predict(test)) > 3.5


def test_codes_that_are_numbers_in_json_are_the_texts_of_training():
    known = pd.concat([cars(car_truck=["1", "3", None])] * 5, ignore_index=True)
    encoder = build_model(known, 10, FOREST).fit(known, [40.0, 30.0, 20.0] * 5)["encoder"]
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


def any_table(task: str, **columns: str) -> Contract:
    """A contract with these columns by kind, and the target y."""
    kinds = {"y": {"regression": "number", "classification": "category"}[task]} | columns
    said = ", ".join(f"{name}: {{kind: {kind}}}" for name, kind in kinds.items())
    return parse_contract(f"{{target: y, task: {task}, columns: {{{said}}}}}", "test")


@pytest.mark.parametrize("build", [random_forest, gradient_boosting])
@pytest.mark.parametrize(
    "labels", [[0, 1], ["no", "yes"], ["01", "02"], [True, False], ["a", "b", "c"]]
)
def test_classes(build, labels):
    contract = any_table("classification", a="number", b="category", c="text", d="date")
    number = len(labels)
    frame = pd.DataFrame(
        {
            "a": [*range(number)] * 30,
            "b": ["x", None, "z"][:number] * 30,
            "c": ["one word", None, "two words"][:number] * 30,
            "d": pd.to_datetime(["2020-01-01", None, "2021-01-01"][:number] * 30),
        }
    )
    model = build(contract, frame, 5, {}).fit(frame[[*contract.features]], labels * 30)
    assert model.predict(frame).tolist() == labels * 30
    assert model.predict_proba(frame).shape == (number * 30, number)


def test_a_date_counts():
    contract = any_table("regression", d="date")
    days = pd.to_datetime([None, *pd.date_range("2020-01-01", periods=9).astype("str")] * 5)
    frame = pd.DataFrame({"d": days.astype("datetime64[us]")})
    model = random_forest(contract, frame, 5, FOREST).fit(frame, [*range(10)] * 5)
    assert model.predict(frame).tolist() == [*range(10)] * 5
    assert model.predict(frame.astype("datetime64[ns]")).tolist() == [*range(10)] * 5


def test_columns_of_any_name():
    names = {"n_jobs": "number", "a__b": "number", "text": "text", "number": "text", "date": "text"}
    frame = pd.DataFrame({name: ["1", "2", "3"] for name in names})
    for build in (random_forest, gradient_boosting):
        model = build(any_table("regression", **names), frame, 5, {})
        assert len(model.fit(frame, [1, 2, 3]).predict(frame)) == 3


def test_a_text_without_words():
    contract = any_table("regression", c="text")
    frame = pd.DataFrame({"c": ["1", "?", "a"]})
    assert random_forest(contract, frame, 5, FOREST).fit(frame, [1, 2, 3]).predict(frame).all()
