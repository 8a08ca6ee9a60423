import time

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunData, RunInfo
from omegaconf import OmegaConf

from _utils.internals import PARENT_RUN_ID
from _utils.sweeps import progress, slurm


def job(status: str, mae: float | None = None) -> Run:
    metrics = [Metric("train.mae", mae, 0, 0)] if mae else []
    return Run(RunInfo("id", "1", "me", status, 0, 1, "active", "uri"), RunData(metrics, [], []))


JOBS = [job("FINISHED", 3.0), job("FAILED"), job("FINISHED", 1.5), job("RUNNING")]


@pytest.mark.parametrize(("direction", "best"), [("minimize", "1.5"), ("maximize", "3")])
def test_the_line_has_what_is_done_the_best_so_far_and_the_time_left(direction, best):
    objective = OmegaConf.create({"metric": "train.mae", "direction": direction})
    assert progress.progress(JOBS, 10, objective, seconds=60) == (
        f"3 of 10 jobs done, 1 running, [red]1 failed[/], best mae {best}, 0:02:20 left"
    )
    assert (
        progress.progress([], 10, objective, seconds=60) == "0 of 10 jobs done, 0 running, 0 failed"
    )


def test_where_there_is_no_terminal_each_tenth_and_each_reason_is_a_line(
    scratch_store, monkeypatch, capfd
):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    monkeypatch.setattr(slurm, "arrays_of", lambda _: ["27"])
    reasons = ["", "; waiting: Resources. "]
    monkeypatch.setattr(slurm, "reasons_for_waiting", lambda _: reasons[0])
    client = MlflowClient()
    sweep = client.create_run("0").info
    jobs = [client.create_run("0", tags={PARENT_RUN_ID: sweep.run_id}) for _ in range(2)]
    objective = {"metric": "x", "direction": "minimize"}
    config = OmegaConf.create({"main": {"objective": objective}, "hydra": {}})

    def until(text: str) -> None:
        seen, end = "", time.monotonic() + 30
        while text not in seen and time.monotonic() < end:
            seen += capfd.readouterr().out
        assert seen.count("jobs done") == 1 and text in seen

    with progress.progress_shown(sweep, 2, config):
        client.set_terminated(jobs[0].info.run_id)
        until("1 of 2 jobs done, 1 running")
        del reasons[0]
        until("left; waiting: Resources.")
