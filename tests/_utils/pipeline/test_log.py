"""A component never waits for whoever reads what it writes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow

from _utils.pipeline import log
from _utils.pipeline.log import Log


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
