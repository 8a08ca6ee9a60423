import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from _utils.tabular.drift.figures import history_figure, psi_figure, shares_figure
from _utils.tabular.drift.measures import compare
from _utils.tabular.drift.report import make_report
from _utils.tabular.terms import CATEGORY

EVIL = "<script>alert('$x$')</script> \\ $\\frac$ http://example.org"
REFERENCE, BATCH = pd.DataFrame({"x": ["a"] * 50}), pd.DataFrame({"x": [EVIL] * 50})


def report(reasons: list[str], figures: dict, scores: dict) -> str:
    table = compare(REFERENCE, BATCH, {"x": CATEGORY})
    found = pd.Series(reasons, index=["x"] * len(reasons), dtype="object")
    return make_report({"New rows": EVIL}, found, scores, table, {"max_psi": 0.25}, figures)


def test_it_is_escaped_and_holds_all_it_shows():
    figures = {EVIL: shares_figure(REFERENCE["x"], BATCH["x"])}
    page = report([EVIL], figures, {"labelled_rows": 2, "mae": 1.5, "loss_ratio": 1.0})
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert (
        '<h1 class="bad">ALARM: x &lt;script' in page and "mae" in page and "labelled_rows" in page
    )
    sources = re.findall(r'(?:src|href)="?(.{10})', page)
    assert sources == ["data:image"]
    assert not re.search(r"<link|@import|url\(", page)


def test_each_reason_stands_with_its_figure_before_any_table():
    figures = {"Values of x": shares_figure(REFERENCE["x"], BATCH["x"])}
    page = report(["first", "second"], figures, {"labelled_rows": 0})
    places = [
        page.index(text) for text in ("main.on_alarm=retrain", "<li>second", "<img", "<table")
    ]
    assert places == sorted(places)
    assert page.count("<img") == 1 and ", the first of 2 reasons</h1>" in page
    assert "Add the labels of the new rows" in page
    assert "&lt; 0.001" in page  # the p-value of the column


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"labelled_rows": 0}, "No row has a label yet"),
        ({"labelled_rows": 0, "seen_rows": 2}, "The model was trained on all rows that have"),
        ({"labelled_rows": 2}, "The rows that have a label do not define the metric"),
    ],
)
def test_no_alarm_and_an_unknown_error(scores, reason):
    page = report([], {}, scores)
    assert "No alarm: no measure is above its limit</h1>" in page
    assert reason in page and "the error is unknown" in page
    assert "main.on_alarm" not in page


def test_shares():
    batch = pd.Series(["a"] * 25 + ["b"] * 25, name="x")
    axes = shares_figure(REFERENCE["x"], batch).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1, 0, 0.5, 0.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert "of x distr" in axes.figure.texts[0].get_text()


def test_no_more_cells_than_can_be_read():
    many = pd.Series([str(number % 40) for number in range(4000)], name="x")
    axes = shares_figure(many, many).axes[0]
    assert len(axes.get_yticks()) == 15 and "25 values" in axes.get_xlabel()


def test_psi_from_the_top():
    axes = psi_figure(pd.Series({"a": 0.1, "b": 3.0}), max_psi=0.25).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [3, 0.1]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()
    assert plt.get_fignums() == []


def test_names_are_no_formulas():
    psi_figure(pd.Series({"price ($)": 1.0, EVIL: 1.0}), max_psi=0.25).draw_without_rendering()
    named = {"reference": REFERENCE["x"].rename(EVIL), "batch": BATCH["x"].rename(EVIL)}
    shares_figure(**named).draw_without_rendering()


def test_history():
    times = pd.to_datetime(["2026-01-01", "2026-02-01"], utc=True)
    history = pd.DataFrame({"alarm": [0, 1], "loss_ratio": [np.nan, np.nan]}, index=times)
    figure = history_figure(history)
    figure.draw_without_rendering()
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0, 1]
