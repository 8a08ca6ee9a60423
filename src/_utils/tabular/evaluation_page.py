"""The page of evaluation: one HTML file that contains its figures and needs no internet."""

from collections.abc import Iterator, Mapping

import pandas as pd

from _utils import pages
from _utils.tabular.contract import Contract
from _utils.tabular.evaluation import Evaluation
from _utils.tabular.scores import MEASURES, MINIMIZE
from _utils.tabular.wording import number, shown, shown_loss, unit_of

FEW = 30  # rows; chance moves the scores of a smaller group far
MOST_ROWS = 30  # of a table
# What the heads of the tables and the names of the scores mean
HINTS = {
    "mae": "Mean absolute error: how far a prediction is off, on average",
    "rmse": "Root mean squared error: large errors count more than in MAE",
    "median_ae": "Median absolute error: half of the predictions are less far off",
    "r2": "Share of the target's variance that the model explains; 0 is the baseline, 1 perfect",
    "bias": "Mean of predicted minus actual; above 0 the predictions are too high",
    "accuracy": "Share of rows that are predicted right",
    "balanced_accuracy": "Share of rows that are predicted right, averaged over the classes",
    "f1_macro": "Harmonic mean of precision and recall, averaged over the classes",
    "roc_auc": "How well probabilities rank the rows of a class before others; 0.5 is chance",
    "average_precision": "Precision, averaged over all recalls",
    "log_loss": "Error of the probabilities; a prediction that is sure and wrong costs most",
    "brier": "Mean squared error of the probabilities",
    "baseline": "A guess without a model: the mean, or the most frequent class",
    "champion": "The version that was in use before",
    "interval": "Where the score lies with a probability of 95 %, if other rows are drawn",
}


def make_page(
    about: dict[str, str],
    promoted: bool,
    decision: str,
    evaluation: Evaluation,
    metrics: Mapping[str, float],
) -> str:
    """Build the page: verdict, scores beside baseline and champion, figures, columns, groups.

    Args:
        about: What was evaluated on what, as label and text.
        promoted: Whether the model became the champion.
        decision: That it did or did not, and why.
        evaluation: What was measured.
        metrics: The metrics of the run, with those that start with `champion_` and so on.

    Returns:
        The HTML. All texts are escaped, and the page loads nothing from elsewhere.
    """
    contract, metric = evaluation.contract, evaluation.metric
    pictures = {name.replace("_", " "): png for name, png in evaluation.pictures.items()}
    pictures.pop("feature importance", None)  # is a table here
    return pages.page(
        f"Evaluation of {about.get('Model', 'a model')}",
        decision,
        pages.section("Scores on the test data", *_scores(contract, metric, metrics)),
        pages.section("Figures", *(pages.image(png, name) for name, png in pictures.items())),
        pages.section("Which columns matter?", *_columns(contract, metric, evaluation.importance)),
        pages.section("Where is the model weak?", *_groups(contract, evaluation.groups)),
        pages.section("What was evaluated", pages.pairs(about)),
        tone=pages.GOOD if promoted else pages.PLAIN,
    )


def _scores(contract: Contract, metric: str, metrics: Mapping[str, float]) -> Iterator[str]:
    champion, same_rows = (metrics.get(f"{name}_{metric}") for name in ("champion", "challenger"))
    heads = {"score": "", "this model": "", "95 % interval": HINTS["interval"]}
    heads |= {} if champion is None else {"champion": HINTS["champion"]}
    heads |= {"baseline": HINTS["baseline"], "better is": ""}
    rows = []
    for name, (direction, _) in MEASURES[contract.task].items():
        if name not in metrics:
            continue
        ends = [metrics[end] for end in (f"{name}_low", f"{name}_high") if end in metrics]
        cells = [number(metrics[name]), " to ".join(map(number, ends))]
        if champion is not None:
            cells.append(number(champion) if name == metric else "")
        usual = metrics.get(f"baseline_{name}")
        cells += ["" if usual is None else number(usual)]
        cells += ["lower" if direction == MINIMIZE else "higher"]
        rows.append([_name(name, contract, strong=name == metric), *map(pages.escape, cells)])
    yield pages.table(heads, rows)
    if champion is not None and same_rows is not None and same_rows != metrics[metric]:
        yield pages.text(
            f"Champion and new model are compared on the test rows that neither was trained on; "
            f"there the new model has {shown(metric)} {number(same_rows)}."
        )


def _columns(contract: Contract, metric: str, table: pd.DataFrame) -> Iterator[str]:
    if table.empty:
        return
    loss = shown_loss(metric) + _in_unit(metric, contract)
    heads = {"column": "", f"increase of {loss} when its values are shuffled": ""}
    shown_rows, longest = table.head(MOST_ROWS), table["importance"].max()
    yield pages.table(
        heads,
        (
            [pages.escape(str(name)), pages.bar(value / longest if longest else 0, number(value))]
            for name, value in zip(shown_rows["column"], shown_rows["importance"], strict=True)
        ),
    )
    yield _rest(table, "feature_importance.csv")


def _groups(contract: Contract, table: pd.DataFrame) -> Iterator[str]:
    if table.empty:
        return
    by, _, main, *others = map(str, table)
    longest = table[main].max()
    heads = {by: "", "rows": ""}
    heads |= {shown(each) + _in_unit(each, contract): HINTS[each] for each in (main, *others)}
    rows = []
    for group, size, value, *rest in table.head(MOST_ROWS).itertuples(index=False):
        few = size < FEW
        rows.append(
            [
                pages.escape("null" if pd.isna(group) else str(group)),
                f"{size:,}{' (small)' if few else ''}",
                pages.bar(value / longest if longest else 0, number(value), faint=few),
                *map(number, rest),
            ]
        )
    yield pages.table(heads, rows)
    if (table["n"] < FEW).any():
        yield pages.text(f"small: fewer than {FEW} rows, so chance moves the scores far.")
    yield _rest(table, "the table scores_by_*.csv")


def _rest(table: pd.DataFrame, file: str) -> str:
    left_out = len(table) - MOST_ROWS
    return pages.text(f"{left_out} more in {file}.") if left_out > 0 else ""


def _name(metric: str, contract: Contract, strong: bool) -> str:
    tag = "b" if strong else "span"
    text = pages.escape(shown(metric) + _in_unit(metric, contract))
    return f'<{tag} title="{pages.escape(HINTS[metric])}">{text}</{tag}>'


def _in_unit(metric: str, contract: Contract) -> str:
    unit = unit_of(metric, contract)
    return f" ({unit})" if unit else ""
