"""What a component prints, on its way into the log of its run."""

import subprocess
import sys

import mlflow
from conftest import Store

from _utils.masking import masked
from _utils.pipeline.log import Log

SECRET = "a-secret-path"


def test_the_path_of_the_tracking_server_is_in_no_log(scratch_store, monkeypatch, tmp_path):
    store = Store(scratch_store)
    experiment = mlflow.set_experiment("log")
    run = store.client.create_run(experiment.experiment_id)
    uri = f"http://127.0.0.1:4321/{SECRET}"
    monkeypatch.setenv("SERVED_STORE", "sqlite")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    log = Log(shown=False)
    words = f"print('{uri}/api/2.0'); print('url: /{SECRET}/api', end=''); exit('é {SECRET}')"
    with log.capture():
        subprocess.run([sys.executable, "-c", words], stdout=1, stderr=2)
    log.publish(run.info.run_id)
    assert log.last_lines[0] == f"{masked(uri)}/api/2.0" == "http://127.0.0.1:4321/***/api/2.0"
    assert SECRET not in "".join(log.last_lines)
    assert SECRET not in store.text(run, "log.txt", tmp_path)
    assert "é ***" in store.text(run, "log.txt", tmp_path)
