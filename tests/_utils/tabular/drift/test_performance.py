import numpy as np
import pandas as pd
import pytest
from scipy import stats

from _utils.tabular.contract import Contract
from _utils.tabular.drift.measures import compare
from _utils.tabular.drift.performance import OnTest, performance
from _utils.tabular.drift.verdict import judge
from _utils.tabular.intervals import standard_error
from _utils.tabular.scores import score
from _utils.tabular.terms import CATEGORY

NUMBERS, CLASSES = (
    Contract.model_validate(
        {"target": "y", "task": task, "columns": {"x": {"kind": "number"}, "y": {"kind": kind}}}
    )
    for task, kind in [("regression", "number"), ("classification", "category")]
)
USUAL = OnTest(1.0, 0.0, 99)
LIMITS = {
    "max_psi": 0.25,
    "significance": 0.01,
    "max_new_missing": 0.1,
    "max_unseen_share": 0.2,
    "max_loss_ratio": 1.25,
}
SAME = pd.DataFrame({"x": ["a"] * 9})


def reasons_of(metric: str, scores: dict) -> list[str]:
    table = compare(SAME, SAME, {"x": CATEGORY})
    reasons = judge(table, metric, scores, 9, **LIMITS)
    assert [*reasons.index] == ["performance"] * len(reasons)
    return [*reasons]


def of_numbers(errors: list, on_test: OnTest = USUAL, metric: str = "mae") -> dict:
    actual = pd.Series([10.0] * len(errors) + [None])
    predictions = pd.DataFrame({"prediction": 10.0 + pd.Series([*errors, 3.0])})
    return performance(metric, NUMBERS, actual, predictions, on_test, 0.01)


def of_classes(
    right: int, wrong: int, test_score: float, metric: str = "roc_auc", rare: int = 20
) -> dict:
    """Rows of which so many have the probabilities the right way round; few are positive."""
    actual = pd.Series([0, 1] * rare + [0] * (right + wrong - 2 * rare))
    turned = np.arange(len(actual)) >= right
    shares = np.where((actual == 1).to_numpy() ^ turned, 0.9, 0.1)
    rows = pd.DataFrame({"prediction": (shares > 0.5).astype("int64"), "probability_0": 1 - shares})
    rows["probability_1"] = shares
    return performance(metric, CLASSES, actual, rows, OnTest(test_score, 0.01, 99), 0.01)


@pytest.mark.parametrize(
    ("errors", "alarm"),
    [
        ([2.0, 1.8, 2.2] * 9, True),
        ([1.2, 1.1, 1.3] * 9, False),
        ([5.0], False),
        ([0, 4], False),
    ],
)
def test_errors_above_those_of_the_test(errors, alarm):
    scores = of_numbers(errors)
    assert scores["labelled_rows"] == len(errors)
    assert scores["loss_ratio"] == pytest.approx(np.mean(errors))
    reasons = reasons_of("mae", scores)
    assert reasons == ["MAE 2 is 2.00 times the test error (limit 1.25)"] * alarm
    if alarm:
        assert reasons_of("mae", scores | {"mae": 122_000.5})[0].startswith("MAE 122,000.5 is 2.00")


@pytest.mark.parametrize("metric", ["rmse", "median_ae"])
def test_other_metrics_need_more_rows(metric):
    assert reasons_of(metric, of_numbers([2.0, 1.8, 2.2] * 9, metric=metric))
    assert not reasons_of(metric, of_numbers([2.0, 2.1, 2.2], metric=metric))


def test_no_labels():
    assert of_numbers([]) == {"labelled_rows": 0}


def test_a_perfect_test_of_numbers_tells_no_ratio():
    assert np.isnan(of_numbers([2.0] * 9, OnTest(0.0, 0.0, 99))["loss_ratio"])


def test_a_metric_to_maximize_is_turned_into_a_loss():
    scores = of_classes(right=60, wrong=20, test_score=0.95)
    assert scores["loss_ratio"] == pytest.approx((1 - scores["roc_auc"]) / 0.05)
    (reason,) = reasons_of("roc_auc", scores)
    ratio = f"{scores['loss_ratio']:.2f}"
    assert reason.startswith(f"ROC AUC {scores['roc_auc']:.3g}, so 1 - ROC AUC is {ratio} times")
    assert not reasons_of("roc_auc", of_classes(right=79, wrong=1, test_score=0.95))


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "f1_macro", "brier"])
def test_a_few_rows_of_one_class_are_no_alarm(metric):
    scores = of_classes(right=0, wrong=80, test_score=0.1, metric=metric, rare=2)
    assert scores["labelled_rows"] == 80 and not reasons_of(metric, scores)


def test_a_perfect_test_of_few_rows_may_be_one_of_nearly_1():
    scores = of_classes(right=80, wrong=0, test_score=1.0)
    assert scores["loss_ratio"] == 0 and not reasons_of("roc_auc", scores)
    assert reasons_of("roc_auc", of_classes(right=60, wrong=20, test_score=1.0))


def test_of_one_class_the_metric_is_undefined():
    actual = pd.Series(["a"] * 20)
    rows = pd.DataFrame({"prediction": actual, "probability_a": 0.9, "probability_b": 0.1})
    scores = performance("roc_auc", CLASSES, actual, rows, OnTest(0.9, 0.01, 99), 0.01)
    assert scores == {"labelled_rows": 20} and not reasons_of("roc_auc", scores)


def test_the_chance_in_the_test_data_counts_too():
    assert reasons_of("mae", of_numbers([2.0, 1.8, 2.2] * 9, OnTest(1.0, 0.1, 99)))
    unsure = of_numbers([2.0, 1.8, 2.2] * 9, OnTest(1.0, 0.4, 5))
    assert unsure["loss_ratio"] == pytest.approx(2) and not reasons_of("mae", unsure)
    # With a known error of the test, it is the t interval
    low = of_numbers([2.0, 1.8, 2.2] * 9)["loss_ratio_low"]
    error = pd.Series([2.0, 1.8, 2.2] * 9).sem()
    assert low == pytest.approx(2 - stats.t.ppf(0.99, 26) * error)


@pytest.mark.parametrize("metric", ["mae", "rmse", "roc_auc", "f1_macro"])
def test_random_halves_raise_no_alarm(metric):
    generator = np.random.default_rng(1)
    actual = pd.Series(generator.integers(0, 2, 400))
    share = np.clip(actual + generator.normal(0, 0.4, 400), 0, 1)  # nearly always right
    classes = pd.DataFrame({"probability_0": 1 - share, "probability_1": share})
    classes["prediction"] = (share > 0.5).astype("int64")
    numbers = pd.DataFrame({"prediction": actual + generator.gamma(1, 1, 400)})
    terms, rows = (CLASSES, classes) if metric in ("roc_auc", "f1_macro") else (NUMBERS, numbers)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(400)
        one, other = ((actual[part], rows.loc[part]) for part in (order[:200], order[200:]))
        error = standard_error(metric, terms, *one)
        on_test = OnTest(score(metric, terms, *one), error, 200)
        scores = performance(metric, terms, *other, on_test, 0.01)
        assert not reasons_of(metric, scores), seed
