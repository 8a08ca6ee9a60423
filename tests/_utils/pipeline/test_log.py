"""What a component prints, on its way into the log of its run; it waits for no reader."""

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
from conftest import Store

from _utils.masking import masked
from _utils.pipeline import log
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


def test_a_reader_that_goes_away_holds_nothing_up(monkeypatch):
    noticed: list[None] = []
    monkeypatch.setattr(log, "reader_is_gone", lambda: noticed.append(None))
    reader, writer = os.pipe()
    os.close(reader)
    terminal, kept = os.dup(1), Log()
    os.dup2(writer, 1)
    try:
        with kept.capture():
            subprocess.run([sys.executable, "-c", "print('x' * 999_999)"], check=True, timeout=60)
    finally:
        os.dup2(terminal, 1)
    patience = time.monotonic() + 10
    while Path(kept.place).stat().st_size < 1_000_000 and time.monotonic() < patience:
        time.sleep(0.01)
    assert Path(kept.place).stat().st_size == 1_000_000
    assert len(noticed) == 1 and not kept.shown


def test_what_is_left_in_the_background_holds_nothing_up(scratch_store):
    run = mlflow.MlflowClient().create_run(mlflow.create_experiment("background"))
    kept, start = Log(shown=False), time.monotonic()
    with kept.capture():
        left = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=-1)
        while not Path(kept.place).stat().st_size:
            time.sleep(0.01)
    kept.publish(run.info.run_id)
    assert time.monotonic() - start < 10
    assert kept.last_lines == ["1"]
    left.communicate(b"\n")
