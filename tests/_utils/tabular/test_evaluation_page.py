import re

import numpy as np
import pandas as pd
import pytest

from _utils.tabular.contract import Contract
from _utils.tabular.evaluation import Evaluation, evaluate
from _utils.tabular.evaluation_page import make_page

EVIL = "<script>alert('x')</script> http://example.org"


def evaluation(**changed) -> Evaluation:
    columns = {"x": {"kind": "number"}, "y": {"kind": "number"}}
    contract = {"target": "y", "task": "regression", "unit": "km", "columns": columns}
    measured = {
        "contract": Contract.model_validate(contract),
        "metric": "mae",
        "scores": {"mae": 1.5, "r2": 0.8},
        "metrics": {"mae": 1.5, "mae_low": 1.25, "mae_high": 12345.678, "r2": 0.8},
        "importance": pd.DataFrame({"column": [EVIL, "b"], "importance": [2.0, -1.0]}),
        "groups": pd.DataFrame(
            {EVIL: [EVIL, None], "n": [30, 29], "mae": [1.0, 4.0], "rmse": 1.0, "bias": 0.0}
        ),
        "pictures": {"residuals": b"png", "feature_importance": b"png"},
    }
    return Evaluation(**measured | changed)


def rows_of(page: str) -> list[list[str]]:
    """The texts of the cells of all tables."""
    rows = re.findall("<tr>(.*?)</tr>", page)
    return [re.findall("<td>(.*?)</td>", re.sub("<(?!/?t[dr])[^>]*>", "", row)) for row in rows]


def test_scores_stand_beside_baseline_and_champion():
    metrics = {"baseline_mae": 6, "champion_mae": 1.75, "challenger_mae": 1.625}
    measured = evaluation()
    page = make_page(
        {}, False, "Did not promote version 2: why", measured, measured.metrics | metrics
    )
    assert '<h1 class="plain">Did not promote version 2: why</h1>' in page
    rows = rows_of(page)
    assert ["MAE (km)", "1.500", "1.250 to 12,345.7", "1.750", "6.000", "lower"] in rows
    assert ["R2", "0.800", "", "", "", "higher"] in rows
    assert "there the new model has MAE 1.625" in page


def test_the_first_model_has_no_champion_and_groups_are_optional():
    measured = evaluation(groups=pd.DataFrame(), importance=pd.DataFrame())
    page = make_page({}, True, "Promoted version 1: why", measured, measured.metrics)
    assert '<h1 class="good">Promoted version 1: why</h1>' in page
    assert ["R2", "0.800", "", "", "higher"] in rows_of(page)
    assert "champion" not in page and "weak" not in page and "matter" not in page
    assert page.count("<img") == 1 and measured.files.keys() == {
        "residuals.png",
        "feature_importance.png",
    }


def test_small_groups_are_marked():
    page = make_page({}, True, "", evaluation(), {})
    groups = [row for row in rows_of(page) if len(row) == 5]
    assert [row[1:3] for row in groups] == [["30", "1.000"], ["29 (small)", "4.000"]]
    assert groups[1][0] == "null"
    assert page.count("opacity:0.4") == 1 and "fewer than 30 rows" in page
    widths = re.findall('class="bar" style="width:(.*?)em', page)
    assert widths == ["8.00", "0.00", "2.00", "8.00"]  # first of the columns
    assert {"feature_importance.csv"} < evaluation().files.keys()


def test_it_is_escaped_and_holds_all_it_shows():
    page = make_page({"Model": EVIL}, True, EVIL, evaluation(), evaluation().metrics)
    assert "<script" not in page and page.count("&lt;script&gt;") >= 5
    assert re.findall(r'(?:src|href)="?(.{10})', page) == ["data:image"]


class Constant:
    """A model that always says the same, and uses no column."""

    feature_names_in_ = np.array(["x"])

    def predict(self, rows):
        return np.full(len(rows), 2.0)


@pytest.mark.parametrize("by", ["", "half"])
def test_all_is_measured_at_once(by):
    test = pd.DataFrame({"x": range(8), "y": [1.0, 3] * 4, "half": list("ab") * 4})
    found = evaluate(Constant(), evaluation().contract, pd.Series([5.0, 7]), test, "mae", by)
    assert found.scores["mae"] == found.metrics["mae"] == 1 and found.metrics["baseline_mae"] == 4
    assert found.metrics["mae_low"] <= 1 <= found.metrics["mae_high"]
    assert found.groups.get("n", pd.Series()).tolist() == ([4, 4] if by else [])
    names = {"predicted_against_actual.png", "residuals.png", "feature_importance.png"}
    csv = {"feature_importance.csv"} | ({"scores_by_half.csv"} if by else set())
    assert found.files.keys() == names | csv
    assert found.files["residuals.png"].startswith(b"\x89PNG")
