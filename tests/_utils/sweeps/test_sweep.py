import os
import signal
from types import SimpleNamespace

import mlflow
import pytest
from conftest import ROOT
from joblib.externals.loky.process_executor import TerminatedWorkerError
from mlflow import MlflowClient
from omegaconf import OmegaConf

from _utils import internals
from _utils.errors import UserError
from _utils.pipeline.compose import compose_config
from _utils.sweeps import SweepRun, slurm, sweep
from _utils.sweeps.jobs import JOB

CONFIG = OmegaConf.create(
    {
        "main": {"objective": {"metric": "x", "direction": "minimize"}},
        "hydra": {"runtime": {"choices": {"hydra/launcher": "basic"}}, "launcher": {}},
    }
)


@pytest.mark.parametrize("asked", ["-m", "hydra.mode=MULTIRUN"])
def test_hydra_itself_runs_a_sweep(asked):
    assert compose_config([asked, "main.reuse=true,false"], ROOT) is None


def test_unknown_keys_of_a_sweep_are_told():
    with pytest.raises(UserError, match=r"^unknown config key 'mian.x'"):
        compose_config(["-m", "mian.x=1,2"], ROOT)


@pytest.mark.parametrize(
    ("launcher", "sweeper", "jobs", "at_once", "share"),
    [
        ({"n_jobs": -1}, {}, 150, 8, "1"),
        ({"n_jobs": -1}, {}, 2, 2, "4"),  # two jobs on eight cores
        ({"n_jobs": 3}, {}, 150, 3, "2"),
        ({"n_jobs": -1}, {"n_jobs": 4}, 20, 4, "2"),  # an optimiser that asks for four at a time
        ({"cpus_per_task": 2}, {}, 150, None, "2"),
        ({"cpus_per_task": None}, {}, 150, None, "1"),
        ({"_target_": "one after the other"}, {}, 150, None, None),
    ],
)
def test_jobs_share_the_cores(monkeypatch, launcher, sweeper, jobs, at_once, share):
    monkeypatch.setattr(sweep, "cpu_count", lambda: 8)
    monkeypatch.setattr(sweep, "effective_n_jobs", lambda n: 8 if n == -1 else n)
    monkeypatch.setattr(os, "environ", {})
    hydra = OmegaConf.create({"launcher": launcher, "sweeper": sweeper})
    sweep.share_cores(hydra, jobs)
    assert hydra.launcher.get("n_jobs") == at_once
    assert os.environ.get("LOKY_MAX_CPU_COUNT") == os.environ.get("OMP_NUM_THREADS") == share


def test_no_job_at_a_time_is_refused():
    hydra = OmegaConf.create({"launcher": {"n_jobs": 0}, "sweeper": {}})
    with pytest.raises(UserError, match=r"n_jobs=0: write how many jobs"):
        sweep.share_cores(hydra, 2)


@pytest.mark.parametrize("last", ["FINISHED", "FAILED"])
def test_the_last_attempt_at_a_job_counts(scratch_store, monkeypatch, last):
    client, ranked = MlflowClient(), []
    monkeypatch.setattr(sweep, "start_top_run", lambda _, name: mlflow.start_run(run_name=name))
    monkeypatch.setattr(sweep, "swept_keys", lambda _: ["a", "b"])
    monkeypatch.setattr(sweep, "publish_ranking", lambda jobs, _: ranked.extend(jobs))
    monkeypatch.setattr(sweep, "why_broken", lambda *_: "SLURM ended a job.")
    monkeypatch.setattr(sweep, "print_ui_hint", lambda *_: None)
    monkeypatch.setattr(sweep, "serve_tracking_store", lambda: None)
    monkeypatch.setattr(sweep, "open_tracking_store", lambda: "")
    monkeypatch.setattr(sweep, "tell", lambda *_: None)

    def lead(error: Exception | None = None) -> None:
        with sweep.sweep_run(CONFIG, 2):
            lead.run = mlflow.active_run().info
            for start, job, status in [(1, "0", None), (2, "1", "FINISHED"), (3, "0", last)]:
                tags = {internals.PARENT_RUN_ID: lead.run.run_id, JOB: job}
                run = client.create_run(lead.run.experiment_id, start_time=start, tags=tags)
                if status:
                    client.set_terminated(run.info.run_id, status)
            raise RuntimeError

    if last == "FINISHED":
        lead()  # SLURM has run it again since
    else:
        with pytest.raises(SystemExit):
            lead()
    jobs = [(run.data.tags[JOB], run.info.status) for run in ranked]
    assert jobs == [("1", "FINISHED"), ("0", last)]
    info = client.get_run(lead.run.run_id).info
    assert (info.status, info.run_name) == (last, "sweep of 2: a, b")


def test_what_is_swept_is_named_by_the_last_parts_of_its_keys():
    typed = ["model.trees.depth=1,2", "model.seed=3", "x=range(1,4)"]
    hydra = {"overrides": {"task": typed}, "sweeper": {"params": {"model.leaves": "1,2"}}}
    assert sweep.swept_keys(OmegaConf.create({"hydra": hydra})) == ["leaves", "depth", "x"]


def test_an_error_of_a_launcher_is_shown_in_a_line_with_its_cure(monkeypatch):
    monkeypatch.setattr(sweep, "typed_command", lambda: ["python", "main.py", "-m"])
    killed = sweep.why_broken(TerminatedWorkerError(), CONFIG)
    assert killed.startswith("A process that runs jobs was killed")
    assert killed.endswith("repeat: python main.py -m")
    assert sweep.why_broken(UserError("a fault"), CONFIG) == "a fault"


@pytest.mark.skipif(os.name == "nt", reason="there is no SLURM")
@pytest.mark.parametrize("leads", [True, False])
def test_a_job_in_a_process_of_its_own_leaves_ctrl_c_to_the_sweep(monkeypatch, leads):
    handled = {}
    monkeypatch.setenv("SWEEP_RUN_ID", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    monkeypatch.setattr(signal, "signal", handled.__setitem__)
    monkeypatch.setattr(mlflow, "active_run", lambda: SimpleNamespace() if leads else None)
    SweepRun().on_job_start(CONFIG)
    assert handled.get(signal.SIGUSR2) == (None if leads else slurm.end_at_limit)
    assert (signal.SIGINT in handled) is not leads
