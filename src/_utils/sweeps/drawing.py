"""Jobs of a sweep as SVG: a panel for each parameter, and parallel coordinates of all."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

MOST = 100  # times the least number; those that span more stand on a logarithmic scale
APART = 0.2  # of the length of an axis: the least between two labels
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 300, 230, 60, 26, 44  # pixels: of a panel, and its margins
SPACE = 150  # between parallel axes


@dataclass(frozen=True)
class Dot:
    """A job: the value of each parameter, as text, and what it came to."""

    values: Mapping[str, str]
    score: float
    kind: str  # best, current, both, or job, as style.py has them
    words: str  # shown where the pointer rests


def places(values: Iterable[str]) -> dict[str, float]:
    """Where values stand on an axis from 0 to 1: numbers by size, others side by side, in order."""
    distinct = sorted({*values}, key=lambda value: (_number(value), value))
    numbers = [_number(value) for value in distinct]
    if max(numbers) == math.inf or min(numbers) == max(numbers):
        return {value: (place + 0.5) / len(distinct) for place, value in enumerate(distinct)}
    if min(numbers) > 0 and max(numbers) / min(numbers) > MOST:
        numbers = [math.log(number) for number in numbers]
    low, size = min(numbers), max(numbers) - min(numbers)
    return {v: 0.04 + 0.92 * (n - low) / size for v, n in zip(distinct, numbers, strict=True)}


def ticks(stand: Mapping[str, float]) -> dict[str, float]:
    """The labels of an axis, with their places; those that would touch the one before are left."""
    shown: dict[str, float] = {}
    for value, place in stand.items():
        number = _number(value)
        if not shown or place - max(shown.values()) >= APART:
            label = f"{number:.4g}" if abs(number) >= 0.001 else f"{number:.2g}"
            shown[value[: max(3, 40 // len(stand))] if number == math.inf else label] = place
    return shown


def panel(dots: Sequence[Dot], parameter: str, score: str) -> str:
    """The score of each job against its value of a parameter."""
    across, up = places(dot.values[parameter] for dot in dots), places(repr(d.score) for d in dots)
    right, bottom = WIDTH - 12, HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for label, place in ticks(across).items():
        parts.append(_text(LEFT + place * (right - LEFT), bottom + 16, label, "middle"))
    for label, place in ticks(up).items():
        parts.append(_text(LEFT - 6, bottom + 4 - place * (bottom - TOP), label, "end"))
    parts.append(_text((LEFT + right) / 2, HEIGHT - 8, parameter, "middle"))
    parts.append(_text(LEFT - 50, 14, score, "start"))
    for dot in reversed(dots):  # the best on top
        x = LEFT + across[dot.values[parameter]] * (right - LEFT)
        y = bottom - up[repr(dot.score)] * (bottom - TOP)
        size = 5 if dot.kind == "job" else 7
        parts.append(
            f'<circle class="dot {dot.kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size}">'
            f"<title>{escape(dot.words)}</title></circle>"
        )
    return _svg(WIDTH, HEIGHT, f"{score} against {parameter}", parts)


def parallel(dots: Sequence[Dot], parameters: Sequence[str], score: str) -> str:
    """A line for each job through its value on the axis of each parameter, to its score."""
    columns = {name: [dot.values[name] for dot in dots] for name in parameters}
    columns[score] = [repr(dot.score) for dot in dots]
    stand = {name: places(values) for name, values in columns.items()}
    width, bottom = 2 * LEFT + SPACE * len(parameters), HEIGHT - 12
    parts = []
    for number in reversed(range(len(dots))):
        points = " ".join(
            f"{LEFT + SPACE * axis},{bottom - stand[name][values[number]] * (bottom - 30):.1f}"
            for axis, (name, values) in enumerate(columns.items())
        )
        faint = 0.8 - 0.6 * number / len(dots)  # the lower its rank
        parts.append(
            f'<polyline class="track {dots[number].kind}" opacity="{faint:.2f}" points="{points}">'
            f"<title>{escape(dots[number].words)}</title></polyline>"
        )
    for axis, name in enumerate(columns):
        x = LEFT + SPACE * axis
        parts.append(f'<path class="axis" d="M{x} 30V{bottom}"/>')
        parts.append(_text(x, 14, name, "middle"))
        for label, place in ticks(stand[name]).items():
            parts.append(_text(x + 6, bottom + 4 - place * (bottom - 30), label, "start"))
    return f'<div class="wide">{_svg(width, HEIGHT, "All jobs", parts)}</div>'


def _number(value: str) -> float:
    """The number; infinity if there is none, so that other values come after numbers."""
    try:
        number = float(value)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def _text(x: float, y: float, words: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="small label" {place}>{escape(words)}</text>'


def _svg(width: int, height: int, words: str, parts: Iterable[str]) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    inner = "\n".join(parts)
    return f'<svg role="img" aria-label="{escape(words)}" {size}>\n{inner}\n</svg>'
