"""A graph of steps from left to right, as SVG: what each takes, and what it makes for later ones.

A step stands in the column after the last step whose results it takes. What it makes hangs below
it, so the graph is as wide as the longest way through it, and no wider.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, GAP, MARGIN = 148, 32, 8  # pixels: of a step, between columns, around all
STEP, ITEM, SPACE = 46, 24, 30  # heights: of a step, of what it takes or makes, between steps
LETTERS = {"step": 19, "item": 19}  # that fit


@dataclass(frozen=True)
class Step:
    """A step of the graph."""

    name: str
    status: str  # finished, reused, failed or waiting, as style.py has them
    note: str = ""  # such as its seconds
    inputs: Sequence[str] = ()  # names of what earlier steps have made
    outputs: Mapping[str, str] = field(default_factory=dict)  # name -> more about it
    sources: Mapping[str, str] = field(default_factory=dict)  # what comes from outside, likewise

    @property
    def height(self) -> int:
        """Of the step with all that hangs on it, in pixels."""
        return STEP + ITEM * (len(self.sources) + len(self.outputs))


def columns_of(steps: Sequence[Step]) -> dict[str, int]:
    """The column of each step, from 0; steps stand in an order in which they can run."""
    made_in: dict[str, int] = {}
    columns: dict[str, int] = {}
    for step in steps:
        columns[step.name] = max(
            (made_in[each] + 1 for each in step.inputs if each in made_in), default=0
        )
        made_in |= dict.fromkeys(step.outputs, columns[step.name])
    return columns


def draw_graph(steps: Sequence[Step]) -> str:
    """The graph as an SVG element, which scrolls by itself where the page is narrower."""
    columns, bottom = columns_of(steps), {}
    starts: dict[str, tuple[int, int]] = {}  # where the line from a result begins
    lines, boxes = [], []
    for step in steps:
        column = columns[step.name]
        x, top = MARGIN + column * (WIDTH + GAP), bottom.get(column, MARGIN)
        bottom[column] = top + step.height + SPACE
        y = top + ITEM * len(step.sources)
        boxes += [
            _item(x, top + ITEM * row, *each) for row, each in enumerate(step.sources.items())
        ]
        boxes.append(_step(x, y, step))
        for name in dict.fromkeys(step.inputs):
            if name in starts:
                lines.append(_line(*starts[name], x, y + STEP // 2))
        for row, each in enumerate(step.outputs.items()):
            place = y + STEP + ITEM * row
            boxes.append(_item(x, place, *each))
            starts[each[0]] = (x + WIDTH, place + ITEM // 2)
    width = 2 * MARGIN - GAP + (1 + max(columns.values(), default=0)) * (WIDTH + GAP)
    height = max(bottom.values(), default=SPACE) - SPACE + MARGIN
    inner = "\n".join(lines + boxes)
    return (
        f'<div class="wide"><svg role="img" aria-label="The graph of the steps" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">\n{inner}\n</svg></div>'
    )


def _step(x: int, y: int, step: Step) -> str:
    about, kind = escape(f"{step.status} {step.note}"), f"box {escape(step.status)}"
    return (
        f"<g><title>{escape(step.name)}: {about}</title>"
        f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{STEP}" rx="6"/>'
        f'<text x="{x + 10}" y="{y + 19}">{_short(step.name, "step")}</text>'
        f'<text class="small" x="{x + 10}" y="{y + 36}">{about}</text></g>'
    )


def _item(x: int, y: int, name: str, about: str) -> str:
    size = f'x="{x + 8}" y="{y + 2}" width="{WIDTH - 8}" height="{ITEM - 4}" rx="10"'
    return (
        f"<g><title>{escape(f'{name} {about}')}</title>"
        f'<rect class="artifact" {size}/>'
        f'<text class="small" x="{x + 18}" y="{y + 16}">{_short(name, "item")}</text></g>'
    )


def _line(x: int, y: int, to_x: int, to_y: int) -> str:
    bend = GAP // 2 + 4
    return f'<path class="edge" d="M{x} {y} C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"/>'


def _short(name: str, kind: str) -> str:
    most = LETTERS[kind]
    return escape(name if len(name) <= most else f"{name[: most - 1]}…")
