"""What a component writes, on its way into the log of its run."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from rich.console import Console

from _utils.masking import masked
from _utils.pipeline import log, report
from _utils.pipeline.log import Log

SECRET = "a-secret-path"


@pytest.fixture
def run(scratch_store):
    return mlflow.MlflowClient().create_run(mlflow.set_experiment("log").experiment_id).info


def written_by(code: str, shown: bool = False) -> Log:
    """The log of a process that runs this code, and has ended."""
    log = Log(shown)
    process = writing(code)
    log.follow(process.stdout)
    process.wait()
    log._reader.join()
    return log


def writing(code: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def test_the_path_of_the_tracking_server_is_in_no_log(run, monkeypatch, capfd):
    uri = f"http://127.0.0.1:4321/{SECRET}"
    monkeypatch.setenv("SERVED_STORE", "sqlite")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    code = f"print('{uri}/api/2.0'); print('url: /{SECRET}/api', end=''); exit('é {SECRET}')"
    kept = written_by(code, shown=True)
    kept.publish(run.run_id)
    text = mlflow.artifacts.load_text(f"{run.artifact_uri}/log.txt")
    assert kept.last_lines[0] == f"{masked(uri)}/api/2.0" == "http://127.0.0.1:4321/***/api/2.0"
    shown = capfd.readouterr().out
    assert "é ***" in text and "é ***" in shown
    assert SECRET not in text + shown + "".join(kept.last_lines)


@pytest.mark.parametrize(("of_terminal", "shown"), [(None, "→ é"), ("cp850", "? é")])
def test_a_terminal_gets_its_own_encoding(monkeypatch, capfdbinary, of_terminal, shown):
    monkeypatch.setattr("os.device_encoding", lambda number: of_terminal)
    kept = Log()
    for byte in "→ é".encode():  # a block may end within a character
        kept.write(bytes([byte]))
    assert capfdbinary.readouterr().out.decode(of_terminal or "utf-8") == shown


def test_a_progress_bar_is_one_line(run):
    kept = written_by(r"print(' 50%\r100%\r\ndone', end='')")
    kept.publish(run.run_id)
    assert kept.last_lines == ["100%", "done"]
    # MLflow writes a line's end as the system has it, on Windows \r\n
    file = Path(mlflow.artifacts.download_artifacts(f"{run.artifact_uri}/log.txt"))
    assert file.read_bytes() == os.linesep.join([" 50%\r100%", "done"]).encode()


@pytest.mark.parametrize(
    ("written", "last"),
    [("", ""), ("one\ntwo\n\n", "two"), (" 50%\r100%\r", "100%"), ("x" * 1200, "x" * 1000)],
)
def test_the_terminal_shows_the_last_line(written, last):
    kept = Log(shown=False)
    kept.write(written.encode())
    assert kept.last_line == last


def test_the_line_about_a_component_goes_away(monkeypatch):
    terminal = Console(force_terminal=True, width=30, file=io.StringIO())
    monkeypatch.setattr(report, "console", terminal)
    kept = Log(shown=False)
    kept.write(b"[half] of a line that is too long for it")
    with report.line_about(kept):
        pass
    text = terminal.file.getvalue()
    assert "[half] of" in text and "too long for it" not in text
    assert text.endswith("\x1b[2K")


@pytest.mark.parametrize("options", [{"force_terminal": False}, {"quiet": True}])
def test_without_a_terminal_there_is_no_line(monkeypatch, options):
    file = io.StringIO()
    monkeypatch.setattr(report, "console", Console(file=file, **options))
    with report.line_about(Log(shown=False)):
        pass
    assert not file.getvalue()


def test_a_reader_that_goes_away_holds_nothing_up(monkeypatch):
    noticed: list[None] = []
    monkeypatch.setattr(log, "reader_is_gone", lambda: noticed.append(None))
    reader, writer = os.pipe()
    os.close(reader)
    terminal = os.dup(1)
    os.dup2(writer, 1)
    try:
        kept = written_by("print('x' * 999_999)", shown=True)
    finally:
        os.dup2(terminal, 1)
    assert len(kept._written) == 999_999 + len(os.linesep)
    assert len(noticed) == 1 and not kept.shown


def test_a_process_left_in_the_background_holds_nothing_up(run, monkeypatch):
    monkeypatch.setattr(log, "PATIENCE", 0.1)
    kept = Log(shown=False)
    left = writing("print(1, flush=True); input()", stdin=subprocess.PIPE)
    kept.follow(left.stdout)
    while not kept._written:
        time.sleep(0.01)
    kept.publish(run.run_id)
    assert kept.last_lines == ["1"] and left.poll() is None
    left.stdin.close()
    assert left.wait() == 1
    kept._reader.join()
