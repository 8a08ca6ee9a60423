"""Sweeps whose jobs run on a real SLURM."""

import signal

import psutil
import pytest
from conftest import Store, Typed, clone, type_in
from documents import changed, documented
from small import make_small, sweep_of, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_small(clone(tmp_path_factory.mktemp("small")))


def on_slurm(values: str, *options: str) -> str:
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug"]
    few = ["hydra.launcher.timeout_min=5", "hydra.launcher.array_parallelism=3"]
    return sweep_of(values, *launcher, *few, *options)


def is_long(process: psutil.Process) -> bool:
    return (process.info["cmdline"] or [])[-2:] == ["run.py", "long"]  # none: it has ended


def test_is_the_same_as_on_one_machine(small, slurm_user, slurm):
    server = documented("MLpipeline.md", "export MLFLOW_TRACKING_URI=")
    server = changed(server, {"http://<host>:5000": slurm_user["MLFLOW_TRACKING_URI"]})
    command = documented("MLpipeline.md", "hydra/launcher=submitit_slurm")
    changes = {
        "steps=train_random_forest": "steps=all",
        "modeling.max_tfidf_features=10,15,30": "components.trial.parameters.x=left,right,4,0",
        "modeling.random_forest.max_features=range(1,100,2) ": "",
    }
    ran = type_in(small, f"{server}\n{changed(command, changes)}", **slurm.environment)
    assert ran.returncode == 1, ran.stdout
    assert "Sweep: 4 jobs, 1 failed" in ran.stdout
    assert "x=0: Component 'trial' failed with exit code 1." in ran.stdout
    store = Store(slurm_user["MLFLOW_TRACKING_URI"])
    jobs = store.children(store.pipeline())
    assert sorted(job.info.status for job in jobs) == ["FAILED"] + ["FINISHED"] * 3
    prepared = [store.children(job)[0].data.tags.get("reused_from") for job in jobs]
    assert sorted(map(bool, prepared)) == [False, True, True, True]
    assert (small / "outputs/prepared.txt").read_text() == "once\n"


def test_a_killed_job_costs_itself_only(small, slurm_user, slurm):
    typed = Typed(small, on_slurm("long,4,5"), **slurm_user)
    store = Store(slurm_user["MLFLOW_TRACKING_URI"])
    wait_for((small / "outputs/started-long").exists)
    wait_for(lambda: len(store.children(store.pipeline())) == 3)
    (component,) = [each for each in psutil.process_iter(["cmdline"]) if is_long(each)]
    (task,) = [each for each in component.parents() if "submitit.core._submit" in each.cmdline()]
    task.kill()
    assert typed.end() == 1
    assert "SLURM ended a job." in typed.text
    assert "x=long: its process was killed" in typed.text
    assert "Traceback" not in typed.text
    statuses = {job.info.run_name[-1]: job.info.status for job in store.children(store.pipeline())}
    assert statuses == {"g": "KILLED", "4": "FINISHED", "5": "FINISHED"}
    assert not [run for run in store.runs() if run.info.status == "RUNNING"]


def test_ctrl_c_takes_all_jobs_off_the_queue(small, slurm_user, slurm):
    (small / "outputs/started-long").unlink(missing_ok=True)
    typed = Typed(small, on_slurm("long,longer,7,8,9,10,11", "main.reuse=false"), **slurm_user)
    wait_for((small / "outputs/started-long").exists)
    typed.signal(signal.SIGINT, "all")
    assert typed.end() == 130
    wait_for(lambda: not slurm.run("squeue", "-h"), patience=30)
    assert "scancel" not in typed.text
    store = Store(slurm_user["MLFLOW_TRACKING_URI"])
    sweep = store.pipeline()
    jobs = store.children(sweep)
    below = [run for job in jobs for run in store.children(job)]
    statuses = {run.info.status for run in [sweep, *jobs, *below]}
    assert statuses - {"FINISHED"} == {"KILLED"}


def test_a_store_that_nodes_cannot_reach_is_refused(small):
    ran = type_in(small, on_slurm("1,2"))
    assert ran.returncode == 1
    assert ran.stdout.startswith("hydra/launcher=submitit_slurm runs on machines that cannot reach")
    assert "start `mlflow server` with a PostgreSQL database" in ran.stdout
