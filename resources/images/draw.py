"""Make the pictures of README.md and MLpipeline.md: python resources/images/draw.py.

This runs the pipeline of the last commit in a temporary clone, with the packages of this Python. It
takes one to two minutes, and needs a browser: apt-get install chromium chromium-driver.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from pathlib import Path

from mlflow import MlflowClient
from rich.console import Console
from rich.text import Text
from selenium import webdriver

HERE = Path(__file__).resolve().parent
COLUMNS = 100  # of the terminal
WIDTH, MARGIN = 1400, 16  # of pictures, in pixels
# A tasks.py that runs the pipeline as that of the project does, but with packages of this Python
RUN = """import sys
sys.path[0] = ""
import tasks
tasks.set_up, tasks.BIN = str, sys.argv[2]
sys.exit(tasks.main("run"))
"""
# What moves the cursor or clears its line; other escape sequences are colours, or cannot be seen
MOVES = re.compile(r"(\n|\r|\x1b\[\d*A|\x1b\[2K)")


def main() -> None:
    """Run the pipeline, and make the pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary) / "project"
        subprocess.run(["git", "clone", "--quiet", str(HERE.parents[1]), str(clone)], check=True)
        save_terminal("python tasks.py run", run_pipeline(clone), HERE / "terminal.svg")
        diagrams = Path(temporary) / "diagrams.html"
        text, versions = (HERE / "diagrams.html").read_text(encoding="utf-8"), versions_of(clone)
        text = re.sub(r"\{([\w.]+)\}", lambda found: versions[found[1]], text)
        diagrams.write_text(text, encoding="utf-8")
        (overview,) = clone.glob("mlruns/**/overview.html")
        with browser(temporary) as driver:
            driver.get(overview.as_uri())
            save_picture(driver, "section:has(svg)", HERE / "overview.png", is_end=True)
            driver.get(diagrams.as_uri())
            save_picture(driver, "#components", HERE / "components.png")
            save_picture(driver, "#project", HERE / "MLFlow_project.jpg")


def run_pipeline(clone: Path) -> str:
    """Run the pipeline there; returns what it writes to a terminal."""
    terminal = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TTY_INTERACTIVE": "0"}
    tasks = clone.with_name("tasks.py")
    tasks.write_text(RUN, encoding="utf-8")
    command = [sys.executable, tasks, "run", str(Path(sys.executable).parent)]
    ran = subprocess.run(
        command,
        cwd=clone,
        env={**os.environ, **terminal},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = ran.stdout.decode("utf-8").replace("\r\n", "\n")
    if ran.returncode:
        sys.exit(f"The pipeline failed:\n{output}")
    return output


def versions_of(clone: Path) -> dict[str, str]:
    """The versions of the artifacts that the pipeline has published, by their names."""
    client = MlflowClient(f"sqlite:///{(clone / 'mlflow.db').as_posix()}")
    experiments = [each.experiment_id for each in client.search_experiments()]
    tags = [item for run in client.search_runs(experiments) for item in run.data.tags.items()]
    return {name[len("output.") :]: value for name, value in tags if name.startswith("output.")}


def on_screen(output: str) -> str:
    """What is left on the screen in the end of all that a program has written, with colours."""
    lines, row = [""], 0
    for part in MOVES.split(output):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part.endswith("A") and MOVES.fullmatch(part):
            row = max(0, row - int(part[2:-1] or 1))
        elif MOVES.fullmatch(part):
            lines[row] = ""
        else:
            lines[row] += part
    return "\n".join(lines).rstrip()


def save_terminal(command: str, output: str, file: Path) -> None:
    """Save a command and its output as a picture of a terminal, which loads no font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text("$ " + command, "bold"))
    console.print(Text.from_ansi(on_screen(output)))
    svg = console.export_svg(title="", unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    file.write_text(svg, encoding="utf-8", newline="\n")


def browser(folder: str) -> webdriver.Chrome:
    """A headless browser that keeps its files in this folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in (
        "headless=new",
        f"window-size={WIDTH},1000",
        "hide-scrollbars",
        "disable-dev-shm-usage",
    ):
        options.add_argument(f"--{argument}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    places = {**os.environ, "HOME": folder, "TMPDIR": folder}
    return webdriver.Chrome(
        options, webdriver.ChromeService(shutil.which("chromedriver"), env=places)
    )


def save_picture(driver: webdriver.Chrome, css: str, file: Path, is_end: bool = False) -> None:
    """Save an element as a picture; with `is_end`, the page from its top to the element's end."""
    script = "return document.querySelector(arguments[0]).getBoundingClientRect()"
    box = driver.execute_script(script, css)
    clip = {key: box[key] for key in ("x", "y", "width", "height")}
    if is_end:
        clip |= {"y": 0, "height": box["bottom"] + MARGIN}
        clip |= {"x": box["left"] - MARGIN, "width": box["width"] + 2 * MARGIN}
    kind = {"format": "jpeg", "quality": 90} if file.suffix == ".jpg" else {"format": "png"}
    clip["scale"] = WIDTH / clip["width"]
    asked = {**kind, "clip": clip, "captureBeyondViewport": True}
    answer = driver.execute_cdp_cmd("Page.captureScreenshot", asked)
    file.write_bytes(b64decode(answer["data"]))


if __name__ == "__main__":
    main()
