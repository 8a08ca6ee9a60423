"""Pages: HTML files that hold all they show, read well on a phone, and follow light and dark.

`page` is the frame that all of them share, with the stylesheet; the rest are the parts to fill it
with. Every text is escaped here.
"""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType

from _utils.pages.style import STYLE

__all__ = ["escape"]
BAR = (  # the style of a bar, which notebooks show too
    "display:inline-block;height:0.7em;margin-right:0.5em;border-radius:2px;"
    "background:var(--plain, #00588f)"
)
GOOD, BAD, PLAIN = "good", "bad", "plain"  # how a headline is coloured


def page(title: str, headline: str, *parts: str, tone: str = PLAIN) -> str:
    """A whole page.

    Args:
        title: What it is about; the browser shows it in the tab.
        headline: What it says, in a sentence.
        parts: HTML, as the other functions make it.
        tone: GOOD, BAD or PLAIN.
    """
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<p class="title">{escape(title)}</p>\n<h1 class="{tone}">{escape(headline)}</h1>\n'
        f"{body}\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """A part of the page with a heading; nothing if there is nothing below it."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>" if body else ""


def heading(words: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(words)}</h3>"


def text(words: str) -> str:
    """A paragraph."""
    return f"<p>{escape(words)}</p>"


def command(line: str) -> str:
    """A line to type."""
    return f"<pre><code>{escape(line)}</code></pre>"


def link(words: str, url: str) -> str:
    """A link that opens beside the page, as a page within MLflow's must."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(words)}</a>'


def items(lines: Iterable[str]) -> str:
    """A list of texts."""
    inner = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{inner}</ul>" if inner else ""


def table(heads: Mapping[str, str], rows: Iterable[Iterable[str]]) -> str:
    """A table, which scrolls by itself where it is wider than the page.

    Args:
        heads: The head of each column, with what it means, shown when the pointer rests on it.
        rows: The cells, as HTML.
    """
    first = "".join(
        f'<th title="{escape(hint)}">{escape(head)}</th>' if hint else f"<th>{escape(head)}</th>"
        for head, hint in heads.items()
    )
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    head = f"<thead><tr>{first}</tr></thead>\n" if any(heads) else ""
    return f'<div class="wide"><table>\n{head}<tbody>\n{lines}</tbody>\n</table></div>'


def pairs(values: Mapping[str, str], hints: Mapping[str, str] = MappingProxyType({})) -> str:
    """A table of names and texts; `hints` say what the names mean, where the pointer rests."""
    names = (f'<b title="{escape(hints.get(key, ""))}">{escape(key)}</b>' for key in values)
    texts = map(escape, values.values())
    return table({}, zip(names, texts, strict=True)) if values else ""


def image(png: bytes, words: str) -> str:
    """A picture, within the page; `words` say what it shows to those who cannot see it."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{data}">'


def bar(share: float, words: str, faint: bool = False) -> str:
    """A bar for a cell of a table, with its number behind it.

    Args:
        share: Its length, as a share of the longest bar of the column; below 0 there is none.
        words: The number, as text.
        faint: Whether it counts for less than others.
    """
    length, opacity = 8 * min(max(share, 0), 1), 0.4 if faint else 1
    style = f"width:{length:.2f}em;opacity:{opacity};{BAR}"
    return f'<span class="bar" style="{style}"></span>{escape(words)}'
