"""Draw the pictures of this folder.

Their background is white, to be legible on GitHub's dark pages too.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
COMPONENT = {"facecolor": "#ddf4ff", "edgecolor": "#0969da"}
ARTIFACT = {"facecolor": "#fff8c5", "edgecolor": "#9a6700"}
PART = {"facecolor": "#f6f8fa", "edgecolor": "#57606a"}
INNER = {"facecolor": "white", "edgecolor": "#0969da"}
INK, QUIET = "#1f2328", "#57606a"
SMALL = {"color": QUIET, "size": 9}


def paper(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches, with axes in tenths of an inch and nothing drawn yet."""
    figure = Figure(figsize=(width, height), dpi=160, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width * 10), ylim=(0, height * 10))
    axes.axis("off")
    return figure, axes


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, look: dict) -> None:
    """A box with this lower left corner; the first line of the text is its title."""
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=1", **look)
    axes.add_patch(shape)
    title, _, rest = text.partition("\n")
    middle, top = x + width / 2, y + height
    if rest:
        axes.text(middle, top - 2, title, ha="center", va="center", weight="bold", color=INK)
        axes.text(middle, top - 3.8, rest, ha="center", va="top", color=INK, linespacing=1.5)
    else:
        axes.text(middle, y + height / 2, title, ha="center", va="center", color=INK)


def arrow(axes: Axes, start: tuple, end: tuple, label: str = "") -> None:
    """An arrow between two points, with a word above its middle."""
    line = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=QUIET)
    axes.add_patch(line)
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 1.3
    axes.text(*middle, label, ha="center", **SMALL)


def components() -> Figure:
    """A component, and the artifacts it uses and makes."""
    figure, axes = paper(9, 2.2)
    box(axes, 3, 8, 20, 10, "Artifact\nraw_data.parquet\nversion affc3eeb1daf", ARTIFACT)
    kinds = "a script, a notebook\nor an executable"
    box(axes, 35, 6.5, 20, 13, f"Component\nbasic_cleaning:\n{kinds}", COMPONENT)
    box(axes, 67, 8, 20, 10, "Artifact\nclean_data.parquet\nversion aa3c90e3a4dd", ARTIFACT)
    arrow(axes, (23, 13), (35, 13), "use_artifact")
    arrow(axes, (55, 13), (67, 13), "log_artifact")
    note = (
        "tracked in MLflow, versioned by its content, kept in MLflow, at W&B or in your own storage"
    )
    axes.text(45, 2.5, note, ha="center", **SMALL)
    return figure


def project() -> Figure:
    """The project as a whole: what is typed, what reads it, what runs, what is kept."""
    figure, axes = paper(9, 5.2)
    box(axes, 3, 44, 24, 6, "mlflow run .", PART)
    what = "MLproject: entry points\nconda.yml: environment\nmain.py: code"
    box(axes, 3, 26, 24, 11, f"Project\n{what}", PART)
    values = "config.yaml, and overrides\nof it for one run\n(Hydra)"
    box(axes, 35, 26, 24, 11, f"Config\n{values}", PART)
    arrow(axes, (15, 44), (15, 37))
    arrow(axes, (35, 31.5), (27, 31.5))
    box(axes, 3, 3, 56, 16, "Components\n ", COMPONENT)
    for number, name in enumerate(["data_extraction", "basic_cleaning", "...", "monitoring"]):
        box(axes, 5 + 13.3 * number, 7.5, 12, 6, name, INNER)
        axes.texts[-1].set_size(8)
    axes.text(
        31,
        4.7,
        "an MLflow project each, in src/: MLproject, conda.yml, run.py",
        ha="center",
        **SMALL,
    )
    arrow(axes, (15, 26), (15, 19))
    axes.text(16.5, 21.9, "mlflow.run, in order", **SMALL)
    runs = "runs: parameters, metrics,\nfigures, logs"
    kept = f"{runs}\n\nartifacts: name:version\n\nmodels: the champion"
    box(axes, 66, 6, 21, 17.5, f"Kept\n{kept}", ARTIFACT)
    arrow(axes, (59, 14), (66, 14), "log")
    arrow(axes, (66, 10), (59, 10), "use")
    return figure


if __name__ == "__main__":
    components().savefig(HERE / "components.png")
    project().savefig(HERE / "MLFlow_project.jpg")
