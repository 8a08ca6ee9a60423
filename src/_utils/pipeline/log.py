"""What a component writes: shown as it comes, and kept in its run."""

import codecs
import errno
import os
import re
import sys
import threading
from typing import BinaryIO

from mlflow import MlflowClient

from _utils.masking import without_server_path
from _utils.pipeline.processes import reader_is_gone

LAST_LINES = 30
PATIENCE = 2  # seconds for the rest; what a component left in the background may never end


class Log:
    """The log of one component."""

    def __init__(self, shown: bool = True):
        self.shown = shown  # on the terminal
        self.preparing = 0.0  # seconds that MLflow took for the component's environment
        self.place = ""  # its URI, once it is published
        self.last_lines: list[str] = []  # without what progress bars have overwritten
        self._written = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # of parts of characters
        self._reader: threading.Thread | None = None

    def follow(self, output: BinaryIO) -> None:
        """Read what a component writes, in a thread; a component that nobody reads would hang."""

        def read() -> None:
            with output:
                # Not by its own method, whose lock could not be taken when this process ends
                while block := os.read(output.fileno(), 1 << 16):
                    self.write(block)

        sys.stdout.flush()
        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def write(self, block: bytes) -> None:
        """Keep bytes, and show them on the terminal as long as somebody reads that."""
        self._written += block
        text = without_server_path(self._decoder.decode(block))
        try:
            if self.shown:  # a terminal of Windows has another encoding
                os.write(1, text.encode(os.device_encoding(1) or "utf-8", "replace"))
        except OSError as error:
            self.shown = False
            if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
                reader_is_gone()

    @property
    def last_line(self) -> str:
        """What was written last, for a line on the terminal."""
        text = without_server_path(self._written[-1000:].decode("utf-8", errors="replace"))
        return next((line for line in reversed(text.splitlines()) if line.strip()), "")

    def publish(self, run_id: str) -> None:
        """Keep what was written as `log.txt` of the run."""
        if self._reader:
            self._reader.join(PATIENCE)
        text = without_server_path(bytes(self._written).decode("utf-8", errors="replace"))
        text = re.sub(r"\r+\n", "\n", text)
        lines = [re.sub(r".*\r(?=.)", "", line) for line in text.split("\n")]
        self.last_lines = [line for line in lines if line.strip()][-LAST_LINES:]
        client = MlflowClient()
        client.log_text(run_id, text, "log.txt")
        self.place = f"{client.get_run(run_id).info.artifact_uri}/log.txt"
