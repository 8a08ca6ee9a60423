import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from _utils.tabular.contract import Contract
from _utils.tabular.drawing import as_png
from _utils.tabular.figures import figures_of, importance_figure
from _utils.tabular.importance import importance_of

ACTUAL, PREDICTED = pd.Series([10.0, 20.0, 30.0]), pd.DataFrame({"prediction": [11.0, 19, 33]})


def contract(task: str, unit: str = "") -> Contract:
    kind = {"regression": "number", "classification": "category"}[task]
    columns = {"x": {"kind": "number"}, "y": {"kind": kind}}
    return Contract.model_validate({"target": "y", "task": task, "unit": unit, "columns": columns})


def of_classes(classes: list[str], rows: int = 60) -> tuple[pd.Series, pd.DataFrame]:
    """Labels, and predictions that are better than chance."""
    generator = np.random.default_rng(1)
    labels = pd.Series(classes * (rows // len(classes)))
    shares = generator.dirichlet(np.ones(len(classes)), len(labels))
    shares = (shares + np.equal.outer(labels.to_numpy(), classes)) / 2
    columns = {f"probability_{name}": share for name, share in zip(classes, shares.T, strict=True)}
    predicted = np.array(classes)[shares.argmax(axis=1)]
    return labels, pd.DataFrame({"prediction": predicted, **columns})


def test_importance_is_drawn_from_the_top():
    axes = importance_figure(pd.Series({"a": 0.7, "b": 0.3}), "Increase").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.3]
    assert axes.yaxis_inverted()
    axes = importance_figure(pd.Series({"a": 2.5}), "Increase of MAE").axes[0]
    assert axes.get_xlabel() == "Increase of MAE" and axes.texts[0].get_text() == "2.5"


def test_points():
    figures = figures_of(
        contract("regression", "m$_2$"), ACTUAL, PREDICTED, {"mae": 1.5, "r2": 0.5}
    )
    drawn = {
        name: figure.axes[0].collections[0].get_offsets().tolist()
        for name, figure in figures.items()
    }
    assert plt.get_fignums() == []  # there is no state that all figures share
    assert drawn == {
        "predicted_against_actual": [[11, 10], [19, 20], [33, 30]],
        "residuals": [[11, -1], [19, 1], [33, -3]],
    }
    picture = as_png(figures["residuals"])
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20]) == 8 * 150  # inches, dots per inch
    assert figures["residuals"].axes[0].get_xlabel() == "Predicted y (m$_2$)"
    for figure in figures.values():
        question, says = (text.get_text() for text in figure.texts)
        assert question.endswith("?") and says == "MAE 1.500 m$_2$, R2 0.500"


@pytest.mark.parametrize(
    ("classes", "curves"),
    [(["no", "yes"], ["yes"]), (["a", "b", "$c$"], ["$c$", "a", "b"])],
)
def test_curves_of_classes(classes, curves):
    figures = figures_of(contract("classification"), *of_classes(classes), {})
    assert [*figures] == ["confusion_matrix", "roc", "precision_recall", "calibration"]
    for figure in figures.values():
        figure.draw_without_rendering()
    names = [text.get_text() for text in figures["roc"].axes[0].get_legend().get_texts()]
    assert [name.partition(" (AUC")[0] for name in names] == curves
    assert plt.get_fignums() == []


def test_no_more_classes_than_can_be_read():
    classes = [f"{number:02}" for number in range(30)]
    figures = figures_of(contract("classification"), *of_classes(classes), {})
    ticks = [text.get_text() for text in figures["confusion_matrix"].axes[0].get_xticklabels()]
    assert len(ticks) == 10 and ticks[-1] == "(others)"
    assert len(figures["roc"].axes[0].get_legend().get_texts()) == 10


def test_without_probabilities_or_a_second_class():
    labels, predicted = of_classes(["no", "yes"])
    for rows in (predicted[["prediction"]], predicted.assign(prediction="no")):
        figures = figures_of(contract("classification"), pd.Series(["no"] * len(labels)), rows, {})
        assert [*figures] == ["confusion_matrix"]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_importance_is_the_harm_of_shuffling(task):
    generator = np.random.default_rng(1)
    rows = pd.DataFrame({"noise": generator.normal(size=90), "x": generator.normal(size=90)})
    rows["y"] = rows["x"] if task == "regression" else (rows["x"] > 0).astype("int64")
    model = LinearRegression() if task == "regression" else LogisticRegression()
    model.fit(rows[["noise", "x"]], rows["y"])
    metric = {"regression": "mae", "classification": "roc_auc"}[task]
    table = importance_of(model, contract(task), rows, metric)
    assert table["column"].tolist() == ["x", "noise"]
    assert table["importance"][0] > 0.3 > 0.1 > abs(table["importance"][1])
    if task == "classification":  # of one class, nothing can be said
        assert importance_of(model, contract(task), rows.assign(y=1), metric).empty
