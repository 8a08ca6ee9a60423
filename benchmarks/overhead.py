"""Compare the template with a plain driver: each runs five trivial components.

python benchmarks/overhead.py [rounds]

Each component logs one metric and one small file. The plain driver is a loop of mlflow.run over
components as in MLflow's documentation. The script prints the seconds of each, and their ratio.
Goal: a ratio of at most 0.8.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = [f"step_{number}" for number in range(1, 6)]

PLAIN_DRIVER = """
import mlflow
with mlflow.start_run():
    for number in range(1, 6):
        mlflow.run(f"src/step_{number}", env_manager="local", parameters={"value": "1"})
"""
PLAIN_COMPONENT = """
import sys
import mlflow
with mlflow.start_run():
    mlflow.log_metric("value", float(sys.argv[1]))
    with open("result.txt", "w") as file:
        file.write(sys.argv[1])
    mlflow.log_artifact("result.txt")
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
MLPROJECT = """
name: step
conda_env: conda.yml
entry_points:
  main:
    parameters:
      value: string
    command: python run.py {value}
"""


def make_project(folder: Path, component: str) -> None:
    for name in ("main.py", "MLproject", "conda.yml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src/_utils", folder / "src/_utils")
    config = (ROOT / "config.yaml").read_text()
    hydra = config[config.index("# Hydra itself") :]
    defaults = config[: config.index("# How this pipeline is run")]
    lines = [f"  {step}: {{parameters: {{value: 1}}}}" for step in STEPS]
    main = (
        f"main: {{project_name: overhead, experiment_name: overhead, steps: all, aliases: {{}}, "
        f"execute_steps: [{', '.join(STEPS)}], reuse: false, rerun: [], plan: false, "
        "artifact_store: mlflow, storage_url: null, backend: local, backend_config: {}, "
        "on_alarm: report, retrain: [], "
        "objective: {metric: step_1.value, direction: minimize}}"
    )
    text = "\n".join([defaults, main, "components:", *lines, hydra])
    (folder / "config.yaml").write_text(text)
    (folder / "plain.py").write_text(PLAIN_DRIVER)
    for step in STEPS:
        (folder / "src" / step).mkdir()
        (folder / "src" / step / "MLproject").write_text(MLPROJECT)
        (folder / "src" / step / "run.py").write_text(component)
        shutil.copy(ROOT / "conda.yml", folder / "src" / step)


def seconds(command: list[str], folder: Path) -> float:
    start = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.monotonic() - start


def main(rounds: int) -> None:
    python = sys.executable
    os.environ["PATH"] = os.pathsep.join([str(Path(python).parent), os.environ["PATH"]])
    # Some CI systems set this variable, so that the benchmark would measure the compiler
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as plain:
        make_project(Path(ours), COMPONENT)
        make_project(Path(plain), PLAIN_COMPONENT)
        ratios = []
        for number in range(rounds + 1):
            of_ours = seconds([python, "main.py"], Path(ours))
            of_plain = seconds([python, "plain.py"], Path(plain))
            if number == 0:
                continue  # the first round creates the stores and compiles
            ratios.append(of_ours / of_plain)
            print(f"template {of_ours:.1f} s  plain {of_plain:.1f} s  ratio {ratios[-1]:.2f}")
        print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
