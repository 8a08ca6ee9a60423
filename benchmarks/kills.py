"""Kill the pipeline at random moments; at its end the artifacts are those of an undisturbed one.

python benchmarks/kills.py [kills]

Kills with signal 9: main.py, one of the processes that it has started, or all of them. Prints each
kill and at last what is wrong, if anything is. A thousand take three hours.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from mlflow import MlflowClient
from overhead import ROOT
from reuse import copy_repository

sys.path.append(str(ROOT / "src"))

from _utils.artifacts.digests import digest_of
from _utils.artifacts.index import outputs_of

STEPS = "data_extraction,basic_cleaning,data_check,data_split,train_random_forest,evaluation"
COMMAND = [sys.executable, "main.py", f"--steps={STEPS}"]


def kill_at_random(folder: Path, longest: float) -> str:
    """Start the pipeline, kill some of it, and wait for its end; returns what was killed."""
    # Other values leave work to do: what was finished before is reused
    limit = f"checks.min_rows={random.choice([100, 100, 99])}"
    with subprocess.Popen([*COMMAND, limit], cwd=folder, stdout=subprocess.DEVNULL) as started:
        moment = random.uniform(0, longest)
        time.sleep(moment)
        first = psutil.Process(started.pid)
        below = first.children(recursive=True) if first.is_running() else []
        whom = random.choice(["all", "main.py", "one below"])
        one = random.choice(below or [first])
        killed = {"all": [first, *below], "main.py": [first], "one below": [one]}[whom]
        for process in killed:
            if process.is_running():
                process.kill()
    return f"{whom} after {moment:.1f} s"


def artifacts(folder: Path) -> dict[str, str]:
    """The version of each artifact that the newest pipeline made or reused, all verified."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("development").experiment_id
    assert not client.search_runs([experiment], "attributes.status = 'RUNNING'")
    for run in client.search_runs([experiment], "attributes.status = 'FINISHED'"):
        for each in outputs_of(run):
            assert digest_of(Path(each.uri.removeprefix("file://"))) == each.digest, each
    pipeline, *_ = client.search_runs([experiment], "attributes.run_name = 'development'")
    below = f"tags.`mlflow.parentRunId` = '{pipeline.info.run_id}'"
    runs = client.search_runs([experiment], below)
    # A model's files hold when it was made
    return {
        each.name: each.version
        for run in runs
        for each in outputs_of(run)
        if each.name != "random_forest"
    }


def main(kills: int) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory() as parent:
        undisturbed, disturbed = Path(parent, "undisturbed"), Path(parent, "disturbed")
        for folder in (undisturbed, disturbed):
            copy_repository(folder)
        begin = time.monotonic()
        subprocess.run(COMMAND, cwd=undisturbed, check=True)
        longest = time.monotonic() - begin
        for number in range(kills):
            print(f"{number + 1}/{kills} {kill_at_random(disturbed, longest)}", flush=True)
        subprocess.run(COMMAND, cwd=disturbed, check=True)
        assert artifacts(disturbed) == artifacts(undisturbed)
        print("The artifacts are those of the undisturbed pipeline.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
