"""Sweeps, typed, with components so small that the sweep itself is what takes the time."""

import re
import signal

import pytest
from conftest import Typed, clone, store_of, type_in
from small import make_small, sweep_of, wait_for

from _utils.pipeline.processes import is_alive

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A clone whose pipeline is `prepare`, then `trial`, in a folder that URIs write otherwise."""
    return make_small(clone(tmp_path_factory.mktemp("small #1 %20 ü")))


def jobs_of(folder) -> dict[str, str]:
    """The status of each job of the newest sweep, by its value."""
    store = store_of(folder)
    key = "components.trial.parameters.x"
    return {run.data.params[key]: run.info.status for run in store.children(store.pipeline())}


def test_jobs_run_side_by_side_and_share_what_is_the_same(small):
    """And one that fails or is killed costs its own job only."""
    x = "left,right,0,killed"  # the first two wait for each other
    ran = type_in(small, sweep_of(x))
    assert ran.returncode == 1, ran.stdout
    assert "Sweep: 4 jobs, 2 failed" in ran.stdout
    assert "x=0: Component 'trial' failed with exit code 1." in ran.stdout
    assert "| ZeroDivisionError: division by zero" in ran.stdout
    assert "x=killed: Component 'trial' failed with exit code 137 (signal 9)" in ran.stdout
    ended = dict.fromkeys(x.split(","), "FINISHED") | {"0": "FAILED", "killed": "FAILED"}
    assert jobs_of(small) == ended
    assert (small / "outputs/prepared.txt").read_text() == "once\n"
    store = store_of(small)
    components = [store.children(job) for job in store.children(store.pipeline())]
    assert [[run.info.run_name for run in runs] for runs in components] == 4 * [
        ["prepare", "trial"]
    ]
    reused = [runs[0].data.tags.get("reused_from") for runs in components]
    assert sorted(map(bool, reused)) == [False, *3 * [True]]
    # The same again runs what is missing and nothing else.
    again = type_in(small, sweep_of(x, "hydra.launcher.n_jobs=1"))
    assert "Sweep: 4 jobs, 2 failed" in again.stdout
    trials = [store.children(job)[1] for job in store.children(store.pipeline())]
    reused = [bool(run.data.tags.get("reused_from")) for run in trials]
    assert reused == [True, True, False, False]
    # What always runs does so once in each sweep.
    always = type_in(small, sweep_of("left,right", "main.reuse=false"))
    assert always.returncode == 0, always.stdout
    assert (small / "outputs/prepared.txt").read_text() == "once\nonce\n"


def test_a_killed_worker_is_told_and_the_same_again_runs_what_is_missing(small):
    typed = Typed(small, sweep_of("4,long,longer"))
    wait_for((small / "outputs/started-longer").exists)
    workers = [each for each in typed.at_work("loky") if "resource_tracker" not in each.cmdline()]
    working = typed.at_work("run.py")
    next(each for each in workers if "LokyProcess" in " ".join(each.cmdline())).kill()
    assert typed.end() == 1
    assert "A process that runs jobs was killed" in typed.text
    assert "Traceback" not in typed.text
    wait_for(lambda: not any(map(is_alive, [*workers, *working])), patience=5)
    assert jobs_of(small) == {"4": "FINISHED", "long": "KILLED", "longer": "KILLED"}
    (small / "outputs/short").touch()
    again = type_in(small, sweep_of("4,long,longer"))
    assert again.returncode == 0, again.stdout
    store = store_of(small)
    trials = [store.children(job)[1] for job in store.children(store.pipeline())]
    assert sum(bool(run.data.tags.get("reused_from")) for run in trials) == 1
    (small / "outputs/short").unlink()


@pytest.mark.parametrize("whom", ["all", "first"])
def test_ctrl_c_ends_all_jobs(small, whom):
    for name in "long", "longer":
        (small / f"outputs/started-{name}").unlink(missing_ok=True)
    typed = Typed(small, sweep_of("long,longer,7", "main.reuse=false"))
    wait_for((small / "outputs/started-longer").exists)
    wait_for((small / "outputs/started-long").exists)
    at_work = typed.at_work("")
    typed.signal(signal.SIGINT, whom)
    assert typed.end() == 130
    assert "Stopped by SIGINT." in typed.text
    assert "Traceback" not in typed.text
    wait_for(lambda: not any(map(is_alive, at_work)), patience=5)
    store = store_of(small)
    assert store.pipeline().info.status == "KILLED"
    assert jobs_of(small) == {"long": "KILLED", "longer": "KILLED"}
    assert not [run for run in store.runs() if run.info.status == "RUNNING"]


def test_the_next_run_closes_a_sweep_that_was_killed(small):
    (small / "outputs/started-long").unlink(missing_ok=True)
    typed = Typed(small, sweep_of("long,6", "main.reuse=false"))
    wait_for((small / "outputs/started-long").exists)
    wait_for(lambda: "FINISHED" in jobs_of(small).values())
    at_work = typed.at_work("run.py")
    typed.signal(signal.SIGKILL, "all")
    typed.end()
    after = type_in(small, "python main.py")
    assert after.returncode == 0, after.stdout
    assert not any(map(is_alive, at_work))
    runs = store_of(small).runs()
    assert not [run for run in runs if run.info.status == "RUNNING"]
    left = [run.info.run_name for run in runs if run.info.status == "KILLED"]
    assert {"sweep of 2: x", "trial"} <= {*left}


def test_a_plan_shows_one_job_after_the_other(small):
    once = type_in(small, "python main.py components.trial.parameters.x=4")
    assert once.returncode == 0, once.stdout
    plan = type_in(small, sweep_of("4,11", "main.plan=true"))
    assert re.findall(r"^(Job|reuse|run) +(\S+)", plan.stdout, re.MULTILINE) == [
        ("Job", "components.trial.parameters.x=4"),
        ("reuse", "prepare"),
        ("reuse", "trial"),
        ("Job", "components.trial.parameters.x=11"),
        ("reuse", "prepare"),
        ("run", "trial"),
    ]
