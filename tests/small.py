"""A pipeline so small that what runs it is what takes the time: `prepare`, then `trial`."""

import re
import time
from collections.abc import Callable
from pathlib import Path

CONFIG = """
components:
  # What all jobs share
  prepare: {}
  # What each job does with its own value
  trial:
    # Parameters of src/trial/MLproject
    parameters:
      # What to do
      x: 1
"""
MLPROJECT = """
name: small
conda_env: conda.yml
entry_points:
  main:
    parameters: {PARAMETERS}
    command: python run.py {VALUES}
"""
# Leaves a line in a file of the clone each time it runs; whoever uses it has seen it end.
PREPARE = """
from pathlib import Path
with (Path(__file__).parents[2] / "outputs/prepared.txt").open("a") as file:
    file.write("once\\n")
"""
# Logs 10 / x as metric, without MLflow, whose import would take most of the time.
TRIAL = """
import json, os, signal, sys, time, urllib.request
from pathlib import Path

outputs = Path(__file__).parents[2] / "outputs"
x = sys.argv[1]
(outputs / f"started-{x}").touch()
if x == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if x in ("left", "right"):  # each waits for the other
    other = {"left": "right", "right": "left"}[x]
    while not (outputs / f"started-{other}").exists():
        time.sleep(0.01)
    x = len(x)
if x in ("long", "longer"):
    print("at work", flush=True)
    time.sleep(0 if (outputs / "short").exists() else 600)
    x = len(x)
metric = {
    "run_id": os.environ["MLFLOW_RUN_ID"], "key": "score", "value": 10 / int(x),
    "timestamp": int(time.time() * 1000), "step": 0,
}
uri = f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/runs/log-metric"
headers = {"Content-Type": "application/json"}
urllib.request.urlopen(urllib.request.Request(uri, json.dumps(metric).encode(), headers))
"""


def make_small(folder: Path) -> Path:
    """Put it in the place of the example in this clone.

    Its code has the folder's name, for else what one test ran would be reused by another that has
    the same tracking server.
    """
    config = (folder / "config.yaml").read_text()
    start, end = config.index("\n# What each component is given"), config.index("\n# Hydra itself")
    text = config[:start] + CONFIG + config[end:]
    values = {"execute_steps": "[prepare, trial]", "aliases": "{}", "retrain": "[]"}
    for key, value in values.items():
        text = re.sub(rf"  {key}:.*\n(    .*\n)*", f"  {key}: {value}\n", text)
    text = re.sub(r"    metric: .*", "    metric: trial.score", text)
    (folder / "config.yaml").write_text(text)
    for name, code, parameters, values in [
        ("prepare", PREPARE, "{}", ""),
        ("trial", TRIAL, "{x: string}", "{x}"),
    ]:
        place = folder / "src" / name
        place.mkdir()
        (place / "run.py").write_text(f"{code}# {folder}\n")
        project = MLPROJECT.replace("{PARAMETERS}", parameters).replace("{VALUES}", values)
        (place / "MLproject").write_text(project)
        (place / "conda.yml").write_text((folder / "conda.yml").read_text())
    (folder / "outputs").mkdir()
    return folder


def sweep_of(values: str, *options: str) -> str:
    """The command of a sweep over `trial`, with these values between commas."""
    return f"python main.py -m components.trial.parameters.x={values} {' '.join(options)}"


def wait_for(condition: Callable[[], object], patience: float = 180) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
