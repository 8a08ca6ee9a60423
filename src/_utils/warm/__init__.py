"""Warm starts: processes are forked from one that has imported their libraries already.

`parent.py` is that process, a script of its own. There is one for each environment, and the jobs of
a sweep share it. What cannot start warm has to start as ever.
"""

import hashlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from _utils.environment import tell, told
from _utils.warm import parent

WARM_PARENTS = "WARM_PARENTS"  # variable: the process that warm parents end with, and their folder
IS_POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")
LARGEST_ANSWER = 1 << 16  # bytes
PATIENCE = 3  # seconds for a warm parent to end; an import that has begun goes on
started: list[subprocess.Popen] = []  # the warm parents that are children of this process


class ColdStart(Exception):
    """A process has to start in another way; the message says why."""


class WarmProcess:
    """A process that was forked from a warm parent, with what subprocess.Popen has."""

    returncode: int | None = None

    def __init__(self, pid: int, connection: socket.socket, stdout: BinaryIO):
        self.pid, self._connection, self.stdout = pid, connection, stdout

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None if the process still runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Wait for the exit code."""
        if self.returncode is None:
            answer = json.loads(self._connection.recv(LARGEST_ANSWER) or "{}")
            if "exit_code" not in answer:  # who minds the process was killed
                self.kill()
            self.returncode = answer.get("exit_code", -signal.SIGKILL)
            self._connection.close()
        return self.returncode

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the process, if it still runs."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)


@contextmanager
def warm_starts(is_on: bool) -> Iterator[None]:
    """Within this, components start warm; at the end the warm parents end.

    The jobs of a sweep take part in what the process above them began.
    """
    folder = None
    if is_on and IS_POSSIBLE and not told(WARM_PARENTS):
        with suppress(OSError):  # the disk may be full
            folder = Path(tempfile.mkdtemp(prefix="warm-"))  # for this user only
            tell(WARM_PARENTS, f"{os.getpid()} {folder}")
    try:
        yield
    finally:
        if folder:
            tell(WARM_PARENTS, None)
            _end_parents(folder)


def _end_parents(folder: Path) -> None:
    for address in folder.glob("*.socket"):
        with suppress(OSError), send(address, end=True) as connection:
            connection.settimeout(PATIENCE)
            connection.recv(1)  # nothing comes, but the end of the connection
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)


def warm_parent(activation: str, variables: dict[str, str]) -> Path:
    """The address of the warm parent of an environment, which is started if there was none.

    Args:
        activation: What activates the environment, before a command.
        variables: The environment variables before that.
    """
    owner, _, folder = told(WARM_PARENTS).partition(" ")
    address = Path(folder, f"{hashlib.sha256(activation.encode()).hexdigest()[:12]}.socket")
    with FileLock(Path(folder, "lock")):
        if address.exists():
            return address
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            with _short(address) as place:
                listener.bind(place)
            listener.listen(socket.SOMAXCONN)
            settings = {"listener": listener.fileno(), "owner": int(owner), "variables": variables}
            process = subprocess.Popen(
                ["bash", "-c", f"{activation}exec python {shlex.quote(parent.__file__)}"],
                env={name: value for name, value in variables.items() if name not in parent.FREE},
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(f"{json.dumps(settings)}\n".encode())
            started.append(process)
    return address


@contextmanager
def _short(address: Path) -> Iterator[str]:
    """Another path of a socket; one in a long TMPDIR has more than the 107 bytes of a socket."""
    folder = os.open(address.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{address.name}"
    finally:
        os.close(folder)


def start_warm(address: Path, **request: Any) -> WarmProcess:
    """Let a warm parent fork a process, which writes all to a pipe, the `stdout` of the result.

    Args:
        address: Of the warm parent.
        request: As `parent.py` says.

    Raises:
        ColdStart: It cannot.
    """
    reader, writer = os.pipe()
    output = os.fdopen(reader, "rb")
    try:
        connection = send(address, (0, writer, writer), **request)
        answer = json.loads(connection.recv(LARGEST_ANSWER) or "{}")
        if pid := answer.get("pid"):
            return WarmProcess(pid, connection, output)
        connection.close()
        reason = answer.get("reason", "the process that has them was killed")
    except OSError as error:
        is_gone = isinstance(error, ConnectionError)
        reason = "the process that has them was killed" if is_gone else str(error)
    finally:
        os.close(writer)
    output.close()
    raise ColdStart(reason)


def send(address: Path, files: Iterable[int] = (), **message: Any) -> socket.socket:
    """Send a warm parent a message, with open files; returns the connection for its answers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _short(address) as place:
            connection.connect(place)
        socket.send_fds(connection, [json.dumps(message).encode()], [*files])
    except OSError:
        connection.close()
        raise
    return connection
