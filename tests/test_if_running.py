"""`main.if_running`: what a run does that is due while the last still runs, typed."""

import re
import signal
import time

import pytest
from conftest import Typed, clone, store_of, type_in
from omegaconf import OmegaConf
from small import make_small

from _utils.errors import UserError
from _utils.pipeline import turn

COMMAND = "python main.py main.rerun=[trial] components.trial.parameters.x"
SKIPPED = r"Skipped: 'development' still runs, in process {} on \S+ since [-\d]+ [:\d]+ \(main"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A clone whose pipeline is `prepare`, then `trial`; with x=left it runs until `let_end`."""
    return make_small(clone(tmp_path_factory.mktemp("small")))


def at_work(folder, values: str = "left", options: str = "main.if_running=wait") -> Typed:
    """A pipeline whose second component is at work, or a sweep of such."""
    for name in "left", "right":
        (folder / f"outputs/started-{name}").unlink(missing_ok=True)
    typed = Typed(folder, f"{COMMAND}={values} {options}")
    end = time.monotonic() + 120
    while not (folder / "outputs/started-left").exists():
        assert typed.process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    return typed


def let_end(folder) -> None:
    (folder / "outputs/started-right").touch()


def pipelines(folder) -> list:
    """The runs that are nobody's child, the newest first."""
    return [run for run in store_of(folder).runs() if "mlflow.parentRunId" not in run.data.tags]


@pytest.mark.slow
def test_skip(small):
    typed = at_work(small)
    before = len(store_of(small).runs())
    told = re.compile(SKIPPED.format(typed.process.pid))
    for command in "python main.py", "python main.py -m components.trial.parameters.x=1,2":
        skipped = type_in(small, f"{command} main.if_running=skip")
        assert skipped.returncode == 0, skipped.stdout
        assert told.search(skipped.stdout) and len(skipped.stdout.splitlines()) == 1
    options = "--env-manager local -P hydra_options=main.if_running=skip"
    launched = type_in(small, f"mlflow run . {options}")
    assert launched.returncode == 0 and told.search(launched.stdout)
    (launcher,) = store_of(small).runs("Default")
    assert launcher.info.run_name == "skipped: development"
    assert launcher.info.status == "FINISHED"
    assert told.search(launcher.data.tags["mlflow.note.content"])
    assert len(store_of(small).runs()) == before
    # A plan is free, and without a word they run together.
    plan = type_in(small, "python main.py main.plan=true main.if_running=skip")
    assert plan.returncode == 0 and "prepare" in plan.stdout
    together = type_in(small, "python main.py")
    assert together.returncode == 0, together.stdout
    let_end(small)
    assert typed.end() == 0, typed.text


@pytest.mark.slow
def test_wait_until_it_ends_even_by_kill_9_or_ctrl_c(small):
    typed = at_work(small)
    before = len(pipelines(small))
    wait = "python main.py main.if_running=wait"
    waiting = Typed(small, wait)
    waiting.until(f"Waiting: 'development' still runs, in process {typed.process.pid} on ")
    waiting.signal(signal.SIGINT, "all")
    assert waiting.end() == 130
    waiting = Typed(small, wait)
    waiting.until("Waiting: ")
    assert waiting.process.poll() is None and len(pipelines(small)) == before
    typed.process.send_signal(signal.SIGKILL)
    assert waiting.end() == 0 and typed.end() == 137
    assert "runs whose process is gone" in waiting.text
    newest, last = pipelines(small)[:2]
    assert [newest.info.status, last.info.status] == ["FINISHED", "KILLED"]
    assert newest.info.start_time >= last.info.end_time


@pytest.mark.slow
def test_a_sweep_has_one_lock_for_all_its_jobs(small):
    typed = at_work(small, "left,1", "main.if_running=skip -m")
    assert type_in(small, "python main.py main.if_running=skip").stdout.startswith("Skipped: ")
    let_end(small)
    assert typed.end() == 0, typed.text
    assert "Sweep: 2 jobs, 0 failed" in typed.text


def test_where_the_lock_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    beside = turn.lock_file(f"sqlite:///{tmp_path}/mlflow.db", "project", "development")
    assert beside.parent == tmp_path and beside.name.startswith("mlflow.db.pipeline-")
    of_user = turn.lock_file("http://localhost:5000", "project", "development")
    assert of_user.parent == tmp_path / "home/.mlflow/locks"
    others = [("http://localhost:5001", "project", "development")]
    others += [
        ("http://localhost:5000", *names) for names in [("other", "development"), ("p", "d")]
    ]
    assert len({of_user, *(turn.lock_file(*other) for other in others)}) == 4


def test_a_lock_that_cannot_be_made_stops_only_those_that_need_it(monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    for if_running in "wait", "skip", "together":
        main = OmegaConf.create({"project_name": "project", "if_running": if_running})
        if if_running == "together":
            turn.take_turn(main, "development", "http://localhost:5000", None)
            continue
        with pytest.raises(UserError, match=f"main.if_running={if_running} needs a lock, which"):
            turn.take_turn(main, "development", "http://localhost:5000", None)
