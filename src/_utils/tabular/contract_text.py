"""Write a contract as YAML in which each column has the reason beside it, as a comment."""

import re
import textwrap

import yaml

from _utils.tabular.kinds import Guess, printable
from _utils.tabular.targets import CLASSES, Target
from _utils.tabular.terms import CLASSIFICATION, DATE, REGRESSION

WIDTH = 100  # characters of a line; a longer comment stands above its column
LONGEST_KEY = 1000  # characters; YAML takes a longer one only with a ? in front
PLAIN = re.compile(r"[^\W\d]([\w -]*\w)?")

HEAD = """\
# What each column of the table is, as guessed from {rows}. The comment beside a column
# has the reason: correct what is wrong. Cleaning, checks, the split, the model and monitoring read
# this file. To change a value for one run: data.contract.columns.<column>.max=60

"""
TARGET = {
    REGRESSION: """\
# The column to predict, a number. Add its unit for reports, for example unit: km
""",
    CLASSIFICATION: """\
# The column to predict, a class. To predict it as a number instead: task: regression, kind: number,
# and no positive, stratify_by and values; in config.yaml, metric: mae and direction: minimize under
# deployment, and direction: minimize under main.objective
""",
}
COLUMNS = """\
# Kind: number, category (few values), text (words), date, or id. An id is never a feature, nor is a
# column with use: false. You can add min, max and outside (drop, null, refuse) to numbers, and the
# allowed values to categories. All columns but the target may have nulls, also where no null was
# seen: the model accepts them, and monitoring reports a column that has many more than before. To
# stop the pipeline at a null instead, remove nullable: true
columns:
"""


def as_yaml(target: Target, guesses: dict[str, Guess], looked_at: int, rows: int) -> str:
    """The contract's text.

    Args:
        target: The column to predict.
        guesses: What each column is, the target too, in the order of the table.
        looked_at: Rows that the guesses are from.
        rows: Rows that there are.
    """
    seen = f"{rows} rows" if looked_at == rows else f"{looked_at} of {rows} rows"
    parts = [HEAD.format(rows=seen), TARGET[target.task], f"target: {quoted(target.name)}\n"]
    parts.append(f"task: {target.task}\n")
    if target.positive is not None:
        parts.append("# Of the two classes the one to find, here the rarer\n")
        parts.append(f"positive: {_value(target.positive)}\n")
    if target.classes:
        parts.append("\n# The classes are equally frequent in the train and the test set\n")
        parts.append(f"stratify_by: {quoted(target.name)}\n")
    parts.append("\n# Rows with equal values in all of these columns stay on one side of a split\n")
    parts.append("group_by: []\n")
    dates = [name for name, each in guesses.items() if each.kind == DATE]
    if dates:
        instead = ", and remove stratify_by" if target.classes else ""
        shown = ", ".join(printable(name) for name in dates[:5])
        parts.append(f"# To test on the newest rows, name a date{instead}. Dates: {shown}\n")
        parts.append("split_by: null\n")
    parts += ["\n", COLUMNS]
    for name, guess in guesses.items():
        parts.append(_line(name, guess, target if name == target.name else None))
    return "".join(parts)


def quoted(text: str) -> str:
    """A text as YAML reads it again, also between brackets; in quotes only if it needs them."""
    if PLAIN.fullmatch(text) and text.isprintable() and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True).strip()


def _line(name: str, guess: Guess, target: Target | None) -> str:
    """The lines of a column; `target` if it is the target."""
    values = [f"kind: {guess.kind}"]
    if target and 0 < len(target.classes) <= CLASSES:
        classes = sorted(target.classes, key=lambda each: (isinstance(each, str), each))
        values.append(f"values: [{', '.join(_value(each) for each in classes)}]")
    if guess.format:
        values.append(f"format: {quoted(guess.format)}")
    if guess.has_infinity:
        values.append("outside: drop" if target else 'outside: "null"')
    values += ["nullable: true"] * (target is None) + ["use: false"] * (not guess.use)
    key, value = quoted(name), f"{{{', '.join(values)}}}"
    line = f"  {key}: {value}" if len(key) <= LONGEST_KEY else f"  ? {key}\n  : {value}"
    comment = printable(guess.reason)
    if len(line) + len("  # ") + len(comment) <= WIDTH:
        return f"{line}  # {comment}\n"
    above = textwrap.wrap(comment, WIDTH - len("  # "), break_long_words=False)
    return "".join([*(f"  # {part}\n" for part in above), f"{line}\n"])


def _value(label: str | int | bool) -> str:
    return quoted(label) if isinstance(label, str) else str(label).lower()
