"""What a component writes: shown as it comes, and kept in its run."""

import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient

from _utils.masking import without_server_path
from _utils.pipeline.processes import reader_is_gone

LAST_LINES = 15


class Log:
    """The log of one component."""

    def __init__(self, shown: bool = True):
        self._file = Path(tempfile.mkdtemp(prefix="log-")) / "log.txt"
        self._file.touch()
        self._copier: threading.Thread | None = None
        self.shown = shown  # on the terminal
        self.place = str(self._file)  # a path, or a URI once it is published
        self.last_lines: list[str] = []  # without what progress bars have overwritten

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Within this, processes that are started write into the log."""
        sys.stdout.flush()
        stdout, stderr, terminal = os.dup(1), os.dup(2), os.dup(1)
        source, sink = _pipe()
        self._copier = threading.Thread(target=self._copy, args=(source, terminal), daemon=True)
        self._copier.start()
        for stream in (1, 2):
            os.dup2(sink, stream)
        os.close(sink)
        try:
            yield
        finally:
            sys.stdout.flush()
            for stream, original in [(1, stdout), (2, stderr)]:
                os.dup2(original, stream)
                os.close(original)

    def _copy(self, source: int, terminal: int) -> None:
        """Read to the end, whatever becomes of the copies, for else the component would hang."""
        with self._file.open("wb", buffering=0) as file:
            while block := _read(source):
                try:
                    if self.shown:
                        os.write(terminal, _masked(block))
                except OSError as error:
                    self.shown = False
                    if isinstance(error, BrokenPipeError):
                        reader_is_gone()
                with suppress(OSError):  # a full disk
                    file.write(block)
        os.close(source)
        os.close(terminal)

    def publish(self, run_id: str) -> None:
        """Let the file become `log.txt` of the run."""
        if self._copier:
            # Not longer, for what a component left running in the background may never end.
            self._copier.join(timeout=2)
        if (printed := self._file.read_bytes()) != (shown := _masked(printed)):
            self._file.write_bytes(shown)
        text = self._file.read_text(encoding="utf-8", errors="replace")
        lines = [re.sub(r".*\r(?=.)", "", line) for line in re.split(r"\r?\n", text)]
        self.last_lines = [line for line in lines if line.strip()][-LAST_LINES:]
        client = MlflowClient()
        client.log_artifact(run_id, str(self._file))
        self.place = f"{client.get_run(run_id).info.artifact_uri}/log.txt"
        shutil.rmtree(self._file.parent, ignore_errors=True)


def _masked(block: bytes) -> bytes:
    """What is printed, whatever its encoding, without the path of the tracking server."""
    return without_server_path(block.decode("latin-1")).encode("latin-1")


def _pipe() -> tuple[int, int]:
    """A pipe; on a terminal one that looks like it, so that progress bars are shown."""
    if os.name == "nt" or not sys.stdout.isatty():
        return os.pipe()
    import fcntl
    import termios
    import tty

    source, sink = os.openpty()
    tty.setraw(sink)
    size = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(sink, termios.TIOCSWINSZ, size)
    return source, sink


def _read(source: int) -> bytes:
    try:
        return os.read(source, 1 << 16)
    except OSError:  # how a pseudo terminal ends
        return b""
