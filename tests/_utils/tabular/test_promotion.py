import numpy as np
import pandas as pd
import pytest

from _utils.errors import UserError
from _utils.tabular.contract import Contract
from _utils.tabular.promotion import Terms, decide_promotion, unseen_rows

CARS, CHURN = (
    Contract.model_validate(
        {"target": "y", "task": task, "unit": unit}
        | {"columns": {"x": {"kind": "number"}, "y": {"kind": kind}}}
    )
    for task, unit, kind in [("regression", "mpg", "number"), ("classification", "", "category")]
)
TERMS = Terms("mae", "minimize", 0.1, {"mae": {"max": 2.0}, "r2": {"min": 0.5}})
GOOD = {"mae": 1.5, "r2": 0.8, "rmse": 2.0}


@pytest.mark.parametrize(
    ("scores", "errors", "promoted", "reason"),
    [
        (GOOD, None, True, "MAE 1.500 mpg, R2 0.800, within limits (no champion yet)"),
        (GOOD | {"mae": 2.1}, None, False, "MAE 2.100 mpg is above the limit of 2.0"),
        (GOOD | {"r2": 0.4}, None, False, "R2 0.400 is below the limit of 0.5"),
        (GOOD, {"champion": 2.0, "challenger": 1.7}, True, "15.0% lower than the champion's 2.000"),
        (GOOD, {"champion": 2.0, "challenger": 1.9}, False, "; at least 10.0% lower is required"),
        (GOOD, {"champion": 2.0, "challenger": 2.2}, False, "10.0% higher"),
        (GOOD, {"champion": 0.0, "challenger": 0.0}, False, "0.0% lower"),
        (GOOD | {"mae": 2.1}, {"champion": 9.0, "challenger": 1.0}, False, "above the limit"),
        (GOOD, {}, False, "the champion was trained on all test rows"),
        ({"mae": 1.5}, None, False, "R2 is undefined on the test data"),
        (GOOD, {"champion": None, "challenger": 1.0}, False, "MAE is undefined on the rows"),
    ],
)
def test_limits_then_the_margin(scores, errors, promoted, reason):
    decision = decide_promotion(CARS, TERMS, scores, errors)
    assert decision[0] == promoted
    assert reason in decision[1]


def test_a_margin_that_is_just_met():
    errors, terms = {"champion": 2.0, "challenger": 1.5}, Terms("mae", "minimize", 0.25, {})
    assert decide_promotion(CARS, terms, GOOD, errors)[0]


@pytest.mark.parametrize(
    ("champion", "challenger", "promoted", "reason"),
    [
        (0.9, 0.95, True, "0.950 on unseen rows against the champion's 0.900, so 1 - ROC AUC is"),
        (0.9, 0.95, True, "1 - ROC AUC is 50.0% lower"),
        (0.9, 0.901, False, "1.0% lower; at least 10.0% lower is required"),
        (1.0, 0.9, False, "inf% higher"),
    ],
)
def test_a_metric_to_maximize(champion, challenger, promoted, reason):
    terms = Terms("roc_auc", "maximize", 0.1, {"f1_macro": {"min": 0.5, "max": None}})
    scores, rivals = {"roc_auc": 0.9, "f1_macro": 0.6}, {"champion": champion}
    decision = decide_promotion(CHURN, terms, scores, rivals | {"challenger": challenger})
    assert decision[0] == promoted and reason in decision[1]
    first = decide_promotion(CHURN, terms, scores, None)
    assert first == (True, "ROC AUC 0.900, F1 macro 0.600, within limits (no champion yet)")


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        (Terms("mse", "minimize", 0, {}), "deployment.metric: 'mse' is not a metric .* Use one"),
        (Terms("roc_auc", "maximize", 0, {}), "deployment.metric: 'roc_auc' .* Use one of mae"),
        (
            Terms("mae", "maximize", 0, {}),
            "direction is 'maximize'.* Set it to minimize",
        ),
        (Terms("mae", "minimize", 0, {"mse": {}}), "deployment.limits: 'mse' is not a metric"),
        (Terms("mae", "minimize", 0, {"r2": {"least": 1}}), "deployment.limits.r2 .* Write limits"),
        (Terms("mae", "minimize", 0, {"r2": 0.5}), "deployment.limits.r2 is '0.5'. Write limits"),
        (Terms("mae", "minimize", 0, {"r2": {"min": "x"}}), "limits.r2.min is 'x', not a number"),
        (Terms("mae", "minimize", 0, [1]), r"deployment.limits is '\[1\]'. Write limits as"),
    ],
)
def test_terms_that_do_not_fit(terms, fault):
    TERMS.check(CARS)
    with pytest.raises(UserError, match=fault):
        terms.check(CARS)


def test_rows_that_a_model_was_trained_on_are_no_test_for_it():
    rows = [("a", 1.0, "2012-01-01"), ("b", np.nan, "2012-01-02"), (None, 2.0, None)]
    test = pd.DataFrame(rows, columns=["text", "number", "date"]).astype({"date": "datetime64[us]"})
    train = test.iloc[[1, 2]].reset_index(drop=True).assign(more="not in the test set")
    assert unseen_rows(test, train).index.tolist() == [0]
    assert unseen_rows(test, test.head(0)).index.tolist() == [0, 1, 2]
    assert unseen_rows(test, test).empty


def test_a_row_is_the_same_whatever_the_nulls_of_others_make_of_its_columns():
    test = pd.DataFrame({"id": [1, 2], "code": [None, None], "text": ["a", "b"]})
    train = pd.DataFrame({"id": [1.0, None], "code": [None, "x"], "text": ["a", "b"]})
    assert unseen_rows(test, train)["id"].tolist() == [2]
    assert unseen_rows(test.astype({"code": "float64"}), train)["id"].tolist() == [2]
    assert unseen_rows(test.astype({"id": "Int64", "text": "category"}), train).index.tolist() == [
        1
    ]


@pytest.mark.parametrize(("whole", "nullable"), [("int64", "Int64"), ("uint64", "UInt64")])
def test_long_ids_that_differ_by_one_are_two_rows(whole, nullable):
    test = pd.DataFrame({"id": [2**53, 2**53 + 1]}, dtype=whole)
    train = pd.DataFrame({"id": [2**53, None]}, dtype=nullable)
    assert unseen_rows(test, train)["id"].tolist() == [2**53 + 1]
