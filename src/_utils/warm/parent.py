"""The warm parent: a process that imports libraries once, and forks others that need them.

`__init__.py` starts it with a socket that listens, and with a line of JSON on stdin: the number of
that socket, the process that the parent ends with, and the environment variables before the
components' environment was activated. A request is JSON, too, with three open files:

    {"words": ["run.py", "--x=1"], "imports": ["import pandas as pd"], "later": ["import sklearn"],
     "folder": "/src/training", "name": "training", "variables": {...}}

The parent forks a minder, which forks the component and answers with its process id, and with its
exit code in the end; or the parent says why the component cannot be forked. So a component outlives
a parent that was killed, and it ends with whoever asked for it. A request without words only has
`later`, what to import when there is nothing else to do; {"end": true} ends the parent.

Only the standard library is imported here: whatever else the parent has, all components have.
"""

import contextlib
import gc
import io
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import types
import warnings
from pathlib import Path
from typing import Any

# Variables that differ between components, or that main.py sets when it starts its server
FREE = {f"MLFLOW_{name}" for name in ("RUN_ID", "EXPERIMENT_ID", "TRACKING_URI", "REGISTRY_URI")}
OWN = {**os.environ}  # before a library sets some
RUN_MODULE = "import runpy; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"
# Libraries that others have imported already, so that pytest cannot rewrite their asserts
NO_REWRITE = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
GRACE = 2  # seconds that a component has to end by itself
LARGEST_REQUEST = 1 << 20  # bytes


def wait_for_component(settings: dict[str, Any]) -> dict[str, Any]:
    """Serve requests; returns only in a process that has to become a component: its request."""
    owner, listener = os.pidfd_open(settings["owner"]), socket.socket(fileno=settings["listener"])
    later: dict[str, None] = {}
    done: set[str] = set()
    while True:
        waiting = [each for each in later if each not in done]
        files = [listener.fileno(), owner]
        ready = select.select(files, [], [], 0 if waiting else None)[0]
        if not ready:
            run_import(waiting[0], done)
            continue
        if owner in ready:
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # minders that have ended
                pass
        connection, _ = listener.accept()
        request, streams = read_request(connection)
        if "end" in request:
            os._exit(0)
        later |= dict.fromkeys(request.get("later", ()))
        for statement in request.get("imports", ()):
            run_import(statement, done)
        if "words" in request:
            if reason := why_not(request, settings["variables"]):
                send(connection, reason=reason)
            elif fork() == 0:
                os.close(owner)
                listener.close()
                mind(connection, streams)
                return request
        for stream in streams:
            os.close(stream)
        connection.close()


def read_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read a request and the open files that came with it; other users' are empty."""
    pid_uid_gid = struct.Struct("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, pid_uid_gid.size)
    message, streams, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
    is_own = pid_uid_gid.unpack(found)[1] == os.getuid()
    return json.loads(message) if message and is_own else {}, streams


def run_import(statement: str, done: set[str]) -> None:
    """Import a library; one that fails, or ends the process, is left to the component."""
    if statement not in done:
        done.add(statement)
        with contextlib.suppress(BaseException):
            exec(statement, {})


def why_not(request: dict[str, Any], before_activation: dict[str, str]) -> str:
    """Why this process cannot become the component; empty if it can."""
    pairs = request["variables"].items() ^ before_activation.items()
    if differing := dict(pairs).keys() - FREE:
        return f"its environment variables differ: {', '.join(sorted(differing))}"
    if threading.active_count() > 1:
        return "a library has started a thread"
    script, folder = request["words"][0], Path(request["folder"])
    place = folder if script in ("-m", "pytest") else (folder / script).parent
    names = {path.stem for path in place.iterdir() if path.suffix == ".py" or path.is_dir()}
    if taken := sorted(names & sys.modules.keys()):
        return f"{place / taken[0]} has the name of a library"
    return ""


def fork() -> int:
    """Fork; Python warns of threads that are none of Python's, idle ones of BLAS and Arrow."""
    gc.freeze()  # else the first collection of garbage would copy all pages
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def mind(connection: socket.socket, streams: list[int]) -> None:
    """Fork once more, and wait for the end of the component; returns only in the component."""
    for signum in (signal.SIGINT, signal.SIGTERM):  # the component may take its time to end
        signal.signal(signum, signal.SIG_IGN)
    pid = fork()
    for number, stream in enumerate(streams):
        if not pid:
            os.dup2(stream, number)
        os.close(stream)
    if not pid:
        connection.close()
        return
    send(connection, pid=pid)
    process = os.pidfd_open(pid)
    ready = select.select([process, connection.fileno()], [], [])[0]
    if process not in ready:  # whoever asked for the component is gone
        os.kill(pid, signal.SIGTERM)
        if not select.select([process], [], [], GRACE)[0]:
            os.kill(pid, signal.SIGKILL)
    send(connection, exit_code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def send(connection: socket.socket, **answer: Any) -> None:
    """Answer as JSON, if anybody still listens."""
    with contextlib.suppress(OSError):
        connection.send(json.dumps(answer).encode())


def become(request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make this process what `python <words>` would be; returns the code to run, and its names."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    words, folder, variables = request["words"], request["folder"], request["variables"]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(OWN | {n: variables[n] for n in FREE & variables.keys()} | {"PWD": folder})
    for name in "stdout", "stderr":  # the parent's own would seek, as /dev/null can and a pipe not
        old = getattr(sys, name)
        raw = io.FileIO(old.fileno(), "w", closefd=False)
        setattr(sys, name, io.TextIOWrapper(raw, old.encoding, old.errors, write_through=True))
    show_as(request["name"], words)
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # else all components would draw the same; `random` does so itself
    code: Any
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __cached__=None)
    sys.orig_argv[1:] = sys.argv[:] = words
    if words[0] == "-m":
        place, code = folder, RUN_MODULE.format(words[1])
        del sys.argv[0]
    elif words[0] == "pytest":
        place, code = str(Path(sys.executable).parent), RUN_MODULE.format("pytest")
        sys.argv[1:1] = ["-W", NO_REWRITE]
    else:
        script = Path(words[0]).absolute()
        place, main.__file__ = str(script.resolve().parent), str(script)
        code = compile(script.read_bytes(), main.__file__, "exec")
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, place)
    sys.modules["__main__"] = main
    return code, main.__dict__


def show_as(name: str, words: list[str]) -> None:
    """Let ps and top show this process as a component, as far as there is room for its command."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15], encoding="utf-8")
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # where the command line is, in proc(5)
        # Words apart by spaces, and an end that is no zero, are how setproctitle(3) marks a name
        line = " ".join(["python", *words]).encode()[: end - start - 2] + b"\0"
        with open("/proc/self/mem", "r+b", buffering=0) as memory:  # noqa: PTH123
            memory.seek(start)
            memory.write(line.ljust(end - start, b" "))


def show_own_frames_only(kind: Any, error: BaseException, trace: Any) -> None:
    """Print a traceback that begins in the component."""
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


if __name__ == "__main__":
    if sys.path[0] == str(Path(__file__).parent):
        del sys.path[0]  # the modules beside this one are none of a component's
    settings = json.loads(sys.stdin.readline())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    request = wait_for_component(settings)
    sys.excepthook = show_own_frames_only
    code, names = become(request)
    exec(code, names)
