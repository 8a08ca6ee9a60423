"""The report of monitoring: one HTML page that contains its figures and needs no internet."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from _utils import pages
from _utils.tabular.drawing import as_png
from _utils.tabular.drift.batch import PSI, VALUES_OF
from _utils.tabular.drift.verdict import chance, summarize

# What the heads of the table and the names of the scores mean
HINTS = {
    "psi": "Population stability index: how differently values are distributed; 0: not at all",
    "test": "Chi-square compares categories, Kolmogorov-Smirnov (KS) compares numbers",
    "statistic": "Of the test: the larger, the more the distributions differ",
    "p_value": "How probable such a difference is by chance, if nothing has changed",
    "missing_reference": "Share of nulls in the training data",
    "missing": "Share of nulls in the new rows",
    "unseen": "Share of values, of texts: of words, that the training data lack",
    "unseen_values": "The most frequent of them, with their number",
    "labelled_rows": "Rows with a known value of the target, which the model was not trained on",
    "seen_rows": "Rows with a label that the model was trained on; they do not count",
    "loss_ratio": "The error on the new rows, as a multiple of that on the test data",
    "loss_ratio_low": "What that is at least, if chance is excluded; above the limit it alarms",
    "max_psi": "Largest PSI of a column without an alarm",
    "significance": "Probability of an alarm by chance, for all columns together",
    "max_new_missing": "How much larger the share of nulls may be than in the training data",
    "max_unseen_share": "Largest share of values that the training data lack",
    "max_loss_ratio": "Largest error, as a multiple of that on the test data",
}


def make_report(
    about: dict[str, str],
    reasons: pd.Series,
    scores: dict[str, float],
    table: pd.DataFrame,
    limits: dict[str, float],
    figures: dict[str, Figure],
) -> str:
    """Build the page: the verdict, what to do, each reason with its figure, the measurements.

    Args:
        about: What was compared with what, as label and text.
        reasons: The result of `judge`.
        scores: The result of `performance`.
        table: The result of `compare`.
        limits: The limits passed to `judge`, by name.
        figures: The result of `figures_of`, and others by title.

    Returns:
        The HTML. All texts are escaped, and the page loads nothing from elsewhere.
    """
    pictures = {title: pages.image(as_png(figure), title) for title, figure in figures.items()}
    alarm, headline = not reasons.empty, summarize(reasons.head(1))
    return pages.page(
        f"Monitoring of {about.get('Model', 'a model')}",
        f"{headline}, the first of {len(reasons)} reasons" if len(reasons) > 1 else headline,
        pages.section("What to do", *_what_to_do(scores)) if alarm else "",
        pages.section("Why", *_reasons(reasons, pictures)),
        pages.section("What was compared", pages.pairs(about)),
        pages.section("Performance", _named(scores), *map(pages.text, why_unknown(scores))),
        pages.section("Columns", _columns(table), pictures.get(PSI, "")),
        pages.section("Limits", _named(limits)),
        pages.section("Also", *_others(reasons, pictures)),
        tone=pages.BAD if alarm else pages.GOOD,
    )


def _what_to_do(scores: dict[str, float]) -> Iterator[str]:
    if not scores.get("labelled_rows", 0) + scores.get("seen_rows", 0):
        yield pages.text("Add the labels of the new rows: without them a model cannot learn.")
    yield pages.text(
        "Look at the reasons: are the new rows right? Then retrain with them: type the same "
        "command with one more override. The terminal, and the page overview.html of the "
        "pipeline's run, have the whole command."
    )
    yield pages.command("main.on_alarm=retrain")


def _reasons(reasons: pd.Series, pictures: dict[str, str]) -> Iterator[str]:
    """Each column with its sentences, and beside them its figure."""
    for name in dict.fromkeys(reasons.index):
        sentences = [text for column, text in reasons.items() if column == name]
        yield pages.heading(name) + pages.items(sentences) + pictures.get(f"{VALUES_OF}{name}", "")


def _others(reasons: pd.Series, pictures: dict[str, str]) -> Iterator[str]:
    shown = {PSI, *(f"{VALUES_OF}{name}" for name in reasons.index)}
    yield from (picture for title, picture in pictures.items() if title not in shown)


def why_unknown(scores: dict[str, float]) -> Iterator[str]:
    """Why the scores, the result of `performance`, lack the error; nothing if they have it."""
    if "loss_ratio" in scores:
        return
    reason = "No row has a label yet"
    if scores.get("labelled_rows"):
        reason = "The rows that have a label do not define the metric"
    elif scores.get("seen_rows"):
        reason = "The model was trained on all rows that have a label"
    yield f"{reason}, so the error is unknown."


def _named(values: dict[str, float]) -> str:
    """Numbers with their names, and what they mean where the pointer rests on them."""
    return pages.pairs({name: f"{value:.4g}" for name, value in values.items()}, HINTS)


def _columns(table: pd.DataFrame) -> str:
    shown = table.astype("object").where(table.notna(), "")
    for name in shown.columns[table.dtypes == "float64"]:
        shown[name] = [f"{value:.3g}" if value != "" else "" for value in shown[name]]
    shown["p_value"] = ["" if pd.isna(value) else chance(value) for value in table["p_value"]]
    heads = {str(name): HINTS.get(name, "") for name in shown}
    return pages.table(heads, (map(pages.escape, map(str, row)) for row in shown.to_numpy()))
