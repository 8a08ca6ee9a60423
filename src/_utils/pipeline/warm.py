"""Warm starts: components are forked from a process that has imported their libraries already.

`warm_parent.py` is that process. One is started for each environment, when its first component is
about to run, and the jobs of a sweep share it. What cannot start warm starts as ever.
"""

import ast
import hashlib
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock

from _utils.environment import tell, told
from _utils.pipeline.report import console
from _utils.pipeline.sources import sources_of

WARM_PARENT = "WARM_PARENT"  # variable: the process that warm parents end with, and their folder
FREE = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI", WARM_PARENT)
# How MLflow activates an environment before a command
ACTIVATION = re.compile(r"((?:source|\.) \S+ && |conda activate \S+(?: 1>&2)? && )*")
# Words that mean to the shell what they say, quoted or not
PLAIN = re.compile(r"""([\w@%+=:,./ -]|'[^']*'|"[^"$`\\]*")*""")
IS_POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")
LARGEST_ANSWER = 1 << 16  # bytes
# What libraries import when they are used, by the name of the library: it takes seconds
LATE = {
    "mlflow": ["import IPython"],
    "sklearn": ["import mlflow.sklearn", "import skops.io", "import git"],
    "matplotlib": ["import matplotlib.backends.backend_agg", "import PIL.PngImagePlugin"],
}
later: list[Path] = []  # components whose libraries can be imported while others work
PATIENCE = 3  # seconds for a warm parent to end; an import that has begun goes on


class WarmProcess:
    """A component that was forked from a warm parent, with the methods of subprocess.Popen."""

    returncode: int | None = None

    def __init__(self, pid: int, connection: socket.socket):
        self.pid, self._connection = pid, connection

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None if the component still runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Wait for the exit code."""
        if self.returncode is None:
            answer = receive(self._connection)
            if "exit_code" not in answer:  # the process that minds the component was killed
                self.kill()
            self.returncode = answer.get("exit_code", -signal.SIGKILL)
            self._connection.close()
        return self.returncode

    def terminate(self) -> None:
        """Ask the component to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the component."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the component, if it still runs."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)


@contextmanager
def warm_starts(is_on: bool) -> Iterator[None]:
    """Within this, components start warm; at the end the warm parents end.

    The jobs of a sweep take part in what the process above them began.
    """
    if not (is_on and IS_POSSIBLE) or told(WARM_PARENT):
        yield
        return
    folder = Path(tempfile.mkdtemp(prefix="warm-"))  # for this user only
    tell(WARM_PARENT, f"{os.getpid()} {folder}")
    try:
        yield
    finally:
        tell(WARM_PARENT, None)
        for address in folder.glob("*.socket"):
            with suppress(OSError), closing(connect(address)) as connection:
                connection.settimeout(PATIENCE)
                send(connection, end=True)
                connection.recv(1)  # nothing comes, but the end of the connection
        shutil.rmtree(folder, ignore_errors=True)


def start_warm(
    command: str, folder: str, variables: dict[str, str], output: int
) -> WarmProcess | None:
    """Start a command as `bash -c <command>` would start it; None if that cannot be.

    Args:
        command: A Python command, with the activation of its environment before it.
        folder: Where it works, the component's.
        variables: All of its environment.
        output: The number of the file that it writes to.
    """
    activation, words = words_of(command, Path(folder))
    if not (words and told(WARM_PARENT)):
        return None
    request = {
        "imports": imports_of(Path(folder)),
        "later": [line for each in later for line in imports_of(each)],
        "words": words,
        "folder": folder,
        "name": Path(folder).name,
        "variables": {name: variables[name] for name in FREE if name in variables},
        "environment": digest_of(variables),
    }
    try:
        connection = connect(parent_for(activation, variables))
        send(connection, (0, output, output), **request)
        answer = receive(connection)
    except OSError as error:
        answer = {"reason": f"the process that has them cannot be reached: {error}"}
    if pid := answer.get("pid"):
        return WarmProcess(pid, connection)
    reason = answer.get("reason", "the process that has them was killed")
    console.print(f"    (imports its libraries anew: {reason})", style="dim", highlight=False)
    return None


def words_of(command: str, folder: Path) -> tuple[str, list[str]]:
    """Split a command into the activation of its environment and the words after `python`.

    Returns:
        The activation, and a script or `-m` or `pytest` with its arguments; no words if the command
        is no Python command, or has what only a shell understands.
    """
    activation = ACTIVATION.match(command)[0]  # type: ignore[index]  # it matches nothing, too
    if not PLAIN.fullmatch(command, len(activation)):
        return activation, []
    words = shlex.split(command[len(activation) :])
    match words:
        case ["python", "-m", _, *_]:
            return activation, words[1:]
        case ["python", script, *_] if (folder / script).is_file():
            return activation, words[1:]
        case ["pytest", *_]:
            return activation, words
    return activation, []


def parent_for(activation: str, variables: dict[str, str]) -> Path:
    """The socket of the warm parent of an environment, which is started if there was none."""
    owner, _, folder = told(WARM_PARENT).partition(" ")
    address = Path(folder, f"{hashlib.sha256(activation.encode()).hexdigest()[:12]}.socket")
    with FileLock(Path(folder, "lock")):
        if not address.exists():
            start_parent(address, int(owner), activation, variables)
    return address


def start_parent(address: Path, owner: int, activation: str, variables: dict[str, str]) -> None:
    """Start a warm parent that listens at this address and ends with the owner."""
    settings = {"owner": owner, "free": FREE, "environment": digest_of(variables)}
    own = {name: value for name, value in variables.items() if name not in FREE}
    script = shlex.quote(str(Path(__file__).with_name("warm_parent.py")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen(socket.SOMAXCONN)
        parent = subprocess.Popen(
            ["bash", "-c", f"{activation}exec python {script}"],
            env=own,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with suppress(BrokenPipeError), parent.stdin as stdin:
            stdin.write(f"{json.dumps(settings | {'listener': listener.fileno()})}\n".encode())
    parent.returncode = 0  # nobody waits for it


@cache
def imports_of(folder: Path) -> list[str]:
    """The import statements of libraries at the top of a component's files."""
    libraries: dict[str, None] = {}
    for path in sources_of(folder)[0]:
        with suppress(SyntaxError, ValueError):
            nodes = ast.parse(path.read_bytes()).body if path.suffix == ".py" else []
            for node in nodes:
                if isinstance(node, ast.Import | ast.ImportFrom) and not is_own(node, folder):
                    libraries[ast.unparse(node)] = None
    known = " ".join(libraries)
    late = (each for name, each in LATE.items() if re.search(rf"\b{name}\b", known))
    return [*libraries, *chain.from_iterable(late)]


def is_own(node: ast.Import | ast.ImportFrom, folder: Path) -> bool:
    """Tell whether an import takes a module of this repository."""
    name = node.names[0].name if isinstance(node, ast.Import) else node.module
    if not name or (isinstance(node, ast.ImportFrom) and node.level):
        return True
    first = name.partition(".")[0]
    bases = folder, *folder.parents[:2]
    return first == "__future__" or any(
        (base / first).is_dir() or (base / f"{first}.py").is_file() for base in bases
    )


def digest_of(variables: dict[str, str]) -> str:
    """A digest of an environment but for what differs between components; values stay secret."""
    pairs = sorted((name, value) for name, value in variables.items() if name not in FREE)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def connect(address: Path) -> socket.socket:
    """Connect to a warm parent."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(address))
    return connection


def send(connection: socket.socket, files: Iterable[int] = (), **message: Any) -> None:
    """Send a message as JSON, with the numbers of open files."""
    socket.send_fds(connection, [json.dumps(message).encode()], [*files])


def receive(connection: socket.socket) -> dict[str, Any]:
    """Receive a message; it is empty if the other end is gone."""
    message = connection.recv(LARGEST_ANSWER)
    return json.loads(message) if message else {}
