"""A pipeline so small that what runs it is what takes the time: `prepare`, then `trial`."""

import time
from collections.abc import Callable
from pathlib import Path

import yaml
from conftest import add_store

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
    """Put it in the place of the example in this clone."""
    components = {"prepare": (PREPARE, {}), "trial": (TRIAL, {"x": ("string", 1)})}
    return make_pipeline(folder, components, [*components], metric="trial.score")


def make_pipeline(
    folder: Path,
    components: dict[str, tuple[str, dict[str, tuple[str, str | int]]]],
    steps: list[str],
    metric: str | None = None,
) -> Path:
    """Put these components in the place of the example in this clone, and an empty store.

    Their code has the folder's name, for else what one test ran would be reused by another that has
    the same tracking server.

    Args:
        folder: The clone.
        components: The code, and the type and value of each parameter, by name. The code gets the
            values as its arguments, in this order.
        steps: Those that run if none is named.
        metric: The objective of a sweep.
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["main"] |= {"execute_steps": steps, "aliases": {}, "retrain": [], "verbose": True}
    if "objective" in config["main"]:  # it goes with the sweeps
        config["main"]["objective"]["metric"] = metric
    config["components"] = {
        name: {"parameters": {key: value for key, (_, value) in parameters.items()}}
        for name, (_, parameters) in components.items()
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for name, (code, parameters) in components.items():
        place = folder / "src" / name
        place.mkdir()
        (place / "run.py").write_text(f"{code}# {folder}\n")
        entry_point = {
            "parameters": {key: {"type": kind} for key, (kind, _) in parameters.items()},
            "command": " ".join(["python run.py", *(f"{{{key}}}" for key in parameters)]),
        }
        project = {"name": name, "conda_env": "conda.yml", "entry_points": {"main": entry_point}}
        (place / "MLproject").write_text(yaml.safe_dump(project, sort_keys=False))
        (place / "conda.yml").write_text((folder / "conda.yml").read_text())
    (folder / "outputs").mkdir()
    add_store(folder)
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
