import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from _utils.errors import UserError
from _utils.tabular.contract import Contract, parse_contract
from _utils.tabular.model import gradient_boosting, random_forest
from _utils.tabular.training import train

FIT = {"max_tfidf_features": 5, "validation_size": 0.2, "seed": 1}
FEW = {random_forest: {"n_estimators": 5, "random_state": 1}, gradient_boosting: {"max_iter": 5}}


def of_classes(more: str = "") -> Contract:
    columns = "x: {kind: number}, y: {kind: category}"
    return parse_contract(f"{{target: y, task: classification, {more} columns: {{{columns}}}}}", "")


def table(labels: list) -> pd.DataFrame:
    """60 rows, one in six with the first label."""
    chosen = [labels[0] if row % 6 == 0 else labels[1] for row in range(60)]
    kind = "str" if isinstance(labels[0], str) else None
    return pd.DataFrame({"x": [*map(float, range(60))], "y": pd.Series(chosen, dtype=kind)})


@pytest.mark.parametrize("build", FEW)
@pytest.mark.parametrize("labels", [["1", "0"], ["01", "1"], ["yes", "no"], [True, False], [1, 2]])
def test_any_labels_are_classes(build, labels):
    model, *_ = train(build, of_classes(), table(labels), parameters=FEW[build], **FIT)
    assert {*model.classes_.tolist()} == {*labels}


def test_classes_weigh_the_same_unless_a_parameter_says_otherwise():
    rows = table(["yes", "no"]).assign(x=0.0)  # nothing tells them apart
    of_forest = {"n_estimators": 200, "random_state": 1}
    for more, expected in ({}, 1 / 2), ({"class_weight": None}, 1 / 6):
        model, features, _ = train(
            random_forest, of_classes(), rows, parameters=of_forest | more, **FIT
        )
        assert model.predict_proba(features)[0, 1] == pytest.approx(expected, abs=0.04)
    assert isinstance(model["model"], RandomForestClassifier)


def test_a_positive_class_that_no_row_has_is_refused():
    forest = FEW[random_forest]
    contract = of_classes("positive: 'Yes',")
    with pytest.raises(UserError, match=r"positive: 'Yes' .* not a class of 'y'. Use one of no, y"):
        train(random_forest, contract, table(["yes", "no"]), parameters=forest, **FIT)
    contract = of_classes("positive: 1,")
    *_, metrics = train(random_forest, contract, table([1, 0]), parameters=forest, **FIT)
    assert np.isfinite(metrics["validation_score"])
