"""The pipeline: reads config.yaml, plans, and runs the components of src/ one after the other.

mlflow run .                                    the whole pipeline
mlflow run . -P steps=a,b                       some of it
mlflow run . -P hydra_options="x=10"            with another value
mlflow run . -P hydra_options="x=10,30 -m"      a sweep over values
mlflow run . -e plan                            what would run, and why
mlflow run . -e serve                           the champion answers requests
mlflow run . -e promote -P version=3            another version is the champion

Without MLflow's launcher: `python main.py --steps=a,b x=10`. All values are in config.yaml.
"""

import atexit
import gc
import sys
from pathlib import Path

if not (3, 11) <= sys.version_info < (3, 15):
    sys.exit(f"Python {sys.version.split()[0]} of {sys.executable}: take one of 3.11 to 3.14.")

# MLflow imports 2,500 modules. Python would search them for garbage again and again, which takes a
# quarter of the time of a short pipeline.
gc.set_threshold(100_000)
atexit.register(gc.freeze)
ROOT = Path(__file__).resolve().parent
sys.path.append(str(ROOT / "src"))  # where _utils lies

from _utils.environment import set_defaults
from _utils.pipeline.environments import tell_missing_package

set_defaults()  # MLflow reads its variables when it is imported
sys.excepthook = tell_missing_package  # if an import below fails

import hydra
import mlflow
from omegaconf import DictConfig

from _utils.pipeline import dead_runs, processes, record
from _utils.pipeline.alarm import has_to_retrain, retraining, retraining_run
from _utils.pipeline.compose import compose_config, hydra_arguments
from _utils.pipeline.config import read_config
from _utils.pipeline.execute import run_components
from _utils.pipeline.overview import conclude
from _utils.pipeline.plan import make_plan
from _utils.pipeline.preview import show_plan
from _utils.pipeline.report import Result, value_of
from _utils.pipeline.runs import env_manager_of, pipeline_run
from _utils.warm import warm_starts


@hydra.main(config_path=".", config_name="config", version_base="1.3")
def go(config: DictConfig) -> float | None:
    """Run the pipeline once, with this config; returns what sweeps rank by, unless it failed."""
    if config.main.plan:
        show_plan(config, ROOT)
        return None
    with warm_starts(config.main.get("warm_start", True)), pipeline_run(config) as run:
        results = run_pipeline(config, run)
        if has_to_retrain(config.main.on_alarm, results):
            with retraining_run(run) as second:
                results = run_pipeline(retraining(config), second)
        return value_of(config.main.objective.metric, results)


def run_pipeline(config: DictConfig, run: mlflow.entities.Run) -> list[Result]:
    """Plan, and run the components as children of this MLflow run."""
    resolved = read_config(config)
    plan = make_plan(resolved, ROOT, run.info.experiment_id, env_manager_of(run))
    mlflow.log_text(record.as_record(resolved.values), "config.yaml")
    results = run_components(plan, run, resolved.main)
    conclude(plan, results, run)
    return results


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):  # Hydra's own help searches this folder for configs
        print(__doc__, (ROOT / "config.yaml").read_text(encoding="utf-8"), sep="\n")
        sys.exit()
    with processes.faults_told():
        sys.argv[1:] = hydra_arguments(sys.argv[1:])
        config = compose_config(sys.argv[1:], ROOT)
    processes.watch_for_interrupts()
    try:
        with processes.cleanups:
            go(config)  # if it is None, Hydra composes it, for example for each job of a sweep
    except processes.Interrupted as interrupted:
        dead_runs.kill_runs()
        processes.end(interrupted)
