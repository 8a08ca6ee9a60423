"""The report of monitoring: one HTML page that contains its figures and needs no internet."""

import base64
import io
from html import escape

import pandas as pd
from matplotlib.figure import Figure

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ color: white; background: {color}; padding: 0.4rem 1rem; }}
table {{ border-collapse: collapse; font-size: 0.85rem; display: block; overflow-x: auto; }}
th, td {{ border-bottom: 1px solid #ddd; padding: 0.2rem 0.6rem; text-align: left; }}
img {{ max-width: 100%; display: block; margin: 1rem 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def make_report(
    about: dict[str, str],
    reasons: pd.Series,
    scores: dict[str, float],
    table: pd.DataFrame,
    limits: dict[str, float],
    figures: dict[str, Figure],
) -> str:
    """Build the page: the verdict, its reasons, the measurements, and the figures.

    Args:
        about: What was compared with what, as label and text.
        reasons: The result of `judge`.
        scores: The result of `performance`.
        table: The result of `compare`.
        limits: The limits passed to `judge`, by name.
        figures: The figures, by title.

    Returns:
        The HTML. All texts are escaped, and the page loads nothing from elsewhere.
    """
    alarm = not reasons.empty
    sections = [
        _list(reasons) if alarm else "<p>No measure is above its limit.</p>",
        _pairs(about),
        "<h2>Performance</h2>",
        _pairs({name: f"{value:.4g}" for name, value in scores.items()}),
        _why_unknown(scores),
        "<h2>Columns</h2>",
        table.to_html(index=False, escape=True, border=0, na_rep="", float_format="{:.3g}".format),
        "<h2>Limits</h2>",
        _pairs({name: str(value) for name, value in limits.items()}),
        "<h2>Figures</h2>",
        *[_image(figure, title) for title, figure in figures.items()],
    ]
    return PAGE.format(
        title="ALARM" if alarm else "No alarm",
        color="#b3261e" if alarm else "#1e7d32",
        body="\n".join(sections),
    )


def _list(reasons: pd.Series) -> str:
    items = [f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in reasons.items()]
    return f"<ul>{''.join(items)}</ul>"


def _why_unknown(scores: dict[str, float]) -> str:
    if "loss_ratio" in scores:
        return ""
    reason = "No row has a label yet"
    if scores.get("labelled_rows"):
        reason = "The rows that have a label do not define the metric"
    elif scores.get("seen_rows"):
        reason = "The model was trained on all rows that have a label"
    return f"<p>{reason}, so the error is unknown.</p>"


def _pairs(values: dict[str, str]) -> str:
    rows = [
        f"<tr><th>{escape(key)}</th><td>{escape(text)}</td></tr>" for key, text in values.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _image(figure: Figure, title: str) -> str:
    """The figure as an HTML image that contains its data."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    data = base64.b64encode(png.getvalue()).decode()
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'
