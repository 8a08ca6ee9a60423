import time

import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import OmegaConf

from _utils.sweeps import progress


@pytest.mark.parametrize(("direction", "best"), [("minimize", "best mae 1.5"), ("maximize", "3")])
def test_the_line_tells_what_is_done_and_the_best_so_far(
    scratch_store, monkeypatch, direction, best
):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    client = MlflowClient()
    sweep = client.create_run("0")
    objective = OmegaConf.create({"metric": "train.mae", "direction": direction})
    for status, mae in [("FINISHED", 3.0), ("FAILED", None), ("FINISHED", 1.5), (None, None)]:
        job = client.create_run("0", tags={MLFLOW_PARENT_RUN_ID: sweep.info.run_id})
        if mae:
            client.log_metric(job.info.run_id, "train.mae", mae)
        if status:
            client.set_terminated(job.info.run_id, status)
    watching = progress.Progress(sweep.info, 10, objective)
    end = time.monotonic() + 30
    while "3 of 10 jobs done, 1 running" not in watching.text() and time.monotonic() < end:
        time.sleep(0.01)
    watching.stop()
    told, left = watching.text().rsplit(", ", maxsplit=1)
    assert told.startswith("3 of 10 jobs done, 1 running, [red]1 failed[/], best mae ")
    assert told.endswith(best)
    assert left.endswith(" left")
