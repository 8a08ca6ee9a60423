"""Measure what the template costs beside plain MLflow: ratios of seconds, on an idle machine.

python benchmarks/overhead.py [rounds]

| what | beside what | goal |
|---|---|---|
| the whole example | the same with main.warm_start=false | 0.42 |
| five small components, CPU | one process that does the same tracked work | 1.9 |
| five small components | a loop of mlflow.run over them | 0.38 |
| `python main.py` if nothing changed | `python -c "import mlflow, hydra"` | 1.7 |
| `mlflow run .` if nothing changed | `mlflow --version` | 2.1 |

Each of the five components logs one metric and one small file. The first round is not counted.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "src"), str(ROOT / "tests")]
STEPS = [f"step_{number}" for number in range(1, 6)]

WORK = """
import tempfile
import mlflow
from pathlib import Path

def work(value):
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(nested=True):
        mlflow.log_metric("value", float(value))
        (Path(folder) / "result.txt").write_text(value)
        mlflow.log_artifact(f"{folder}/result.txt")
"""
ONE_PROCESS = WORK + "\nwith mlflow.start_run():\n    for number in range(5):\n        work('1')\n"
PLAIN_STEP = WORK + "\nimport sys\nwork(sys.argv[1])\n"
LOOP = """
import mlflow
with mlflow.start_run():
    for number in range(1, 6):
        mlflow.run(f"plain/step_{number}", env_manager="local", parameters={"value": "1"})
"""
PLAIN_PROJECT = """
name: step
entry_points: {main: {parameters: {value: string}, command: "python run.py {value}"}}
"""
COMPONENT = """
import argparse
import sys
from pathlib import Path
sys.path.append(str(Path(__file__).resolve().parents[1]))
import mlflow
from _utils.artifacts import log_artifact
from _utils.component import launch, scratch_folder

def go(args):
    mlflow.log_metric("value", float(args.value))
    target = scratch_folder() / "result.txt"
    target.write_text(args.value)
    log_artifact(target, type="result")

parser = argparse.ArgumentParser()
parser.add_argument("value")
launch(go, parser)
"""
PYTHON = sys.executable
MAIN = [PYTHON, "main.py"]


def make_projects(folder: Path) -> tuple[Path, Path]:
    """Make a clone of this repository, and one with five small components in it."""
    from conftest import clone
    from small import make_pipeline

    example = clone(folder / "example")
    small = clone(folder / "small")
    components = {step: (COMPONENT, {"value": ("string", 1)}) for step in STEPS}
    make_pipeline(small, components, STEPS, metric="step_1.value")
    for step in STEPS:
        (small / "plain" / step).mkdir(parents=True)
        (small / "plain" / step / "MLproject").write_text(PLAIN_PROJECT)
        (small / "plain" / step / "run.py").write_text(PLAIN_STEP)
    (small / "loop.py").write_text(LOOP)
    (small / "one.py").write_text(ONE_PROCESS)
    return example, small


def seconds(command: list[str], folder: Path) -> float:
    """How long a command takes."""
    start = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.monotonic() - start


def cpu_seconds(command: list[str], folder: Path) -> float:
    """How long a command and all that it starts use a processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int) -> None:
    os.environ["PATH"] = os.pathsep.join([str(Path(PYTHON).parent), os.environ["PATH"]])
    # Some CI systems set the first, so that the benchmark would measure the compiler
    for variable in ("PYTHONDONTWRITEBYTECODE", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(variable, None)
    all_runs, launch = "main.reuse=false", ["mlflow", "run", ".", "--env-manager", "local"]
    with tempfile.TemporaryDirectory() as folder:
        example, small = make_projects(Path(folder))
        imports = [PYTHON, "-c", "import mlflow, hydra"]
        rows = {
            "whole example, warm beside cold": (
                *(seconds, example, [*MAIN, all_runs]),
                [*MAIN, all_runs, "main.warm_start=false"],
            ),
            "five components, CPU, beside one process": (
                *(cpu_seconds, small, [*MAIN, all_runs]),
                [PYTHON, "one.py"],
            ),
            "five components beside mlflow.run": (
                *(seconds, small, [*MAIN, all_runs]),
                [PYTHON, "loop.py"],
            ),
            "unchanged, main.py beside its imports": (seconds, example, MAIN, imports),
            "unchanged, mlflow run beside mlflow --version": (
                *(seconds, example, launch),
                ["mlflow", "--version"],
            ),
        }
        for name, (measure, place, one, other) in rows.items():
            pairs = [(measure(one, place), measure(other, place)) for _ in range(rounds + 1)][1:]
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            text = ", ".join(f"{ours:.1f} and {theirs:.1f}" for ours, theirs in pairs)
            print(f"{name}: {ratio:.2f} ({text} s)", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
