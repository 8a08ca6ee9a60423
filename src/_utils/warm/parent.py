"""The warm parent: imports libraries once, and forks a fresh process for each component.

`warm.py` starts it by the Python of the components' environment, with a socket that listens, and
tells it on stdin, as a line of JSON, the number of that file, the process that it ends with, a
digest of its environment, and the variables that differ between components. A request comes as
JSON, with a component's standard streams:

    {"imports": ["import pandas as pd"], "later": ["import sklearn"], "words": ["run.py", "--x=1"],
     "folder": ..., "name": ..., "variables": {"MLFLOW_RUN_ID": ...}, "environment": <digest>}

A component, which cannot know the digest, sends all variables of a process that it starts.

The parent forks a minder, which forks the component and answers with its process id, and with its
exit code in the end; or the parent says why the component has to start in another way. So a
component outlives a parent that was killed. The minder ends its component if the process that asked
for it is gone. A message may also have only `later`; {"end": true} ends the parent.

Only the standard library is imported here: whatever else the parent has, all components have.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import types
import warnings
from pathlib import Path
from typing import Any

RUN_MODULE = "import runpy; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"
OWN = {**os.environ}
GRACE = 2  # seconds that a component has to end by itself
LARGEST_REQUEST = 1 << 20  # bytes
# Libraries that others have imported already, so that pytest cannot rewrite their asserts
NO_REWRITE = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"


def wait_for_component(settings: dict[str, Any]) -> dict[str, Any]:
    """Serve requests; returns only in a process that has to become a component: its request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that minders leave no zombies
    owner = os.pidfd_open(settings["owner"])
    listener = socket.socket(fileno=settings["listener"])
    imports: dict[str, None] = {}  # statements to run when there is nothing else to do
    done: set[str] = set()
    while True:
        waiting = [each for each in imports if each not in done]
        files = [listener.fileno(), owner]
        ready = select.select(files, [], [], 0 if waiting else None)[0]
        if owner in ready:
            os._exit(0)
        if not ready:
            run_import(waiting[0], done)
            continue
        connection, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
        request = json.loads(message) if message and is_own(connection) else {}
        if "end" in request:
            os._exit(0)
        imports |= dict.fromkeys(request.get("later", ()))
        if "words" in request:
            for statement in request.get("imports", ()):
                run_import(statement, done)
            if reason := why_not(request, settings):
                send(connection, reason=reason)
            elif fork() == 0:
                os.close(owner)
                listener.close()
                mind(connection, streams)
                return request
        for stream in streams:
            os.close(stream)
        connection.close()


def is_own(connection: socket.socket) -> bool:
    """Tell whether the process at the other end belongs to the same user."""
    pid_uid_gid = struct.Struct("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, pid_uid_gid.size)
    return pid_uid_gid.unpack(found)[1] == os.getuid()


def run_import(statement: str, done: set[str]) -> None:
    """Import a library; one that fails, or ends the process, is left to the component."""
    if statement not in done:
        done.add(statement)
        with contextlib.suppress(BaseException):
            exec(statement, {})


def why_not(request: dict[str, Any], settings: dict[str, Any]) -> str:
    """Why this process cannot become the component; empty if it can."""
    if "environment" in request:
        is_same = request["environment"] == settings["environment"]
    else:
        different = dict(request["variables"].items() ^ OWN.items()).keys()
        is_same = different <= {*settings["free"]}
    if not is_same:
        return "its environment variables differ"
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
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not (pid := fork()):
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        return
    for stream in streams:
        os.close(stream)
    send(connection, pid=pid)
    process = os.pidfd_open(pid)
    ready = select.select([process, connection.fileno()], [], [])[0]
    if process not in ready:  # main.py is gone
        os.kill(pid, signal.SIGTERM)
        if not select.select([process], [], [], GRACE)[0]:
            os.kill(pid, signal.SIGKILL)
    send(connection, exit_code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def send(connection: socket.socket, **answer: Any) -> None:
    """Answer as JSON, if anybody still listens."""
    with contextlib.suppress(OSError):
        connection.send(json.dumps(answer).encode())


def become(request: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make this process what `python <words>` would be; returns the code to run, and its names."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(request["folder"])
    os.environ.clear()  # libraries have set some
    os.environ.update(OWN)
    os.environ.update((n, v) for n, v in request["variables"].items() if n in settings["free"])
    os.environ["PWD"] = request["folder"]  # as bash sets it
    tempfile.tempdir = None  # it is looked up anew
    if request.get("is_session"):
        os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(request["name"][:15], encoding="utf-8")  # for ps, top
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # else all components would draw the same; `random` does so itself
    words = request["words"]
    sys.orig_argv[1:] = words
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __cached__=None)
    code: Any
    if words[0] == "-m":
        sys.argv[:], place = words[1:], Path.cwd()
        code = RUN_MODULE.format(words[1])
    elif words[0] == "pytest":
        sys.argv[:] = ["pytest", "-W", NO_REWRITE, *words[1:]]
        place, code = Path(sys.executable).parent, RUN_MODULE.format("pytest")
    else:
        sys.argv[:], script = words, Path(words[0]).absolute()
        place, main.__file__ = script.resolve().parent, str(script)
        code = compile(script.read_bytes(), main.__file__, "exec")
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, str(place))
    sys.modules["__main__"] = main
    return code, main.__dict__


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
    code, names = become(request, settings)
    exec(code, names)
