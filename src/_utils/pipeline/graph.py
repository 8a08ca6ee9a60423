"""The graph of a plan: components, the artifacts they make, and who uses them."""

from xml.sax.saxutils import escape

from _utils.artifacts.index import parse_reference
from _utils.pipeline.plan import Component

ROW, WIDTH = 48, 190  # pixels: from one row to the next, and of a box
COMPONENTS, ARTIFACTS = 20, 320  # pixels: where each column begins
STYLE = """
  text { font: 14px sans-serif; text-anchor: middle; fill: #1f2328; }
  .component { fill: #ddf4ff; stroke: #0969da; }
  .artifact { fill: #fff8c5; stroke: #9a6700; }
  .edge { fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#arrow); }
"""


def inputs_of(component: Component) -> list[str]:
    """The names of the artifacts that a component uses."""
    return list(dict.fromkeys(parse_reference(ref)[0] for ref in component.inputs.values()))


def as_mermaid(plan: list[Component]) -> str:
    """The graph as Mermaid text, which GitHub draws in a ```mermaid block."""
    lines = ["flowchart TD"]
    ids: dict[str, str] = {}

    def node(name: str) -> str:
        if name in ids:
            return ids[name]
        ids[name] = f"artifact{len(ids)}"
        return f'{ids[name]}(["{name}"])'

    for number, component in enumerate(plan):
        lines.append(f'    component{number}["{component.name}"]')
        lines += [f"    {node(name)} --> component{number}" for name in inputs_of(component)]
        lines += [f"    component{number} --> {node(name)}" for name in component.outputs.values()]
    return "\n".join(lines)


def as_svg(plan: list[Component]) -> str:
    """The graph as a picture: a row for each component, what it makes beside it.

    Each artifact has a lane of its own between the columns, down to those who use it.
    """
    made = {name for component in plan for name in component.outputs.values()}
    used = dict.fromkeys(name for component in plan for name in inputs_of(component))
    lanes = {name: ARTIFACTS - 24 - 14 * number for number, name in enumerate(used)}
    heights: dict[str, int] = {}  # of each artifact, in the middle of its box
    boxes, edges = [], []
    y = ROW
    for name in [name for name in used if name not in made]:  # from outside, so at the top
        heights[name] = y
        y += ROW
    for component in plan:
        boxes.append(_box(component.name, "component", COMPONENTS, y))
        for number, name in enumerate(inputs_of(component)):
            lane, down, left = lanes[name], y - 8 + 8 * number, COMPONENTS + WIDTH
            edges.append(_edge(f"M{ARTIFACTS},{heights[name] + 8} H{lane} V{down} H{left}"))
        start = f"M{COMPONENTS + WIDTH},{y}"
        for name in component.outputs.values():
            edges.append(_edge(f"{start} V{y} H{ARTIFACTS}"))
            start = f"M{COMPONENTS + WIDTH - 20},{y + 15}"  # the second one leaves at the bottom
            heights[name] = y
            y += ROW
        y += 0 if component.outputs else ROW
    boxes += [_box(name, "artifact", ARTIFACTS, height) for name, height in heights.items()]
    arrow = '<path d="M0,0 L8,4 L0,8 z" fill="#57606a"/>'
    size = f'width="{ARTIFACTS + WIDTH + COMPONENTS}" height="{y - ROW // 3}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<style>{STYLE}</style>",
            '<marker id="arrow" markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto">',
            f"{arrow}</marker>",
            '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',  # also on dark pages
            *edges,
            *boxes,
            "</svg>",
        ]
    )


def _box(text: str, kind: str, x: int, y: int) -> str:
    radius = 4 if kind == "component" else 15
    box = f'<rect class="{kind}" x="{x}" y="{y - 15}" width="{WIDTH}" height="30" rx="{radius}"/>'
    return f'{box}<text x="{x + WIDTH // 2}" y="{y + 5}">{escape(text)}</text>'


def _edge(path: str) -> str:
    return f'<path class="edge" d="{path}"/>'
