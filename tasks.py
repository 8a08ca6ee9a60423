"""The way in, on every system: `python tasks.py run`.

The first task sets up .venv from environment.yml. Only the standard library is needed, and an old
Python can read this file too: which Python fits is checked before anything is installed.
"""

import contextlib
import inspect
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTEST = "python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "
# What a task does, and its commands; words that are typed after it go to the last of them
TASKS = {
    "setup": ["Set up .venv, as every other task does first"],
    "run": ["Run the pipeline; takes the options of `mlflow run .`", "mlflow run ."],
    "ui": [
        "Look at the runs in the browser",
        "mlflow ui --backend-store-uri sqlite:///mlflow.db --uvicorn-opts '--log-level warning'",
    ],
    "test": ["Run the tests: 10 to 20 minutes on two cores", PYTEST + "'not nightly'"],
    "test-fast": ["Run the quick tests: one minute", PYTEST + "'not slow and not nightly'"],
    "test-nightly": ["Run what `test` leaves out: clusters, conda, browser", PYTEST + "nightly"],
    "lint": [
        "Check style, format, types, and who imports whom",
        *("ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo"),
    ],
    "benchmark": [
        "Measure what the template costs beside plain MLflow",
        "python benchmarks/overhead.py",
        "python benchmarks/reuse.py",
        "python benchmarks/sweep.py forests 30",
        "python benchmarks/batch.py 500000",
    ],
    "clean-envs": [
        "Remove the environments that MLflow made for this project, after asking",
        "python src/_utils/pipeline/environments.py",
    ],
}


def main(task: str = "help", *typed: str) -> int:
    """Do a task; returns the status of its first command that fails."""
    if task not in TASKS:
        print("\n".join(f"{name:13} {TASKS[name][0]}" for name in TASKS))
        return 0 if task in ("help", "-h", "--help") else 2
    set_up(task)
    commands = [shlex.split(command) for command in TASKS[task][1:]]
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    variables = {"MLFLOW_LOGGING_LEVEL": "WARNING", "PYTHONUTF8": "1", **os.environ, "PATH": path}
    if task == "run" and "--env-manager" not in {word.split("=")[0] for word in typed}:
        commands[0] += ["--env-manager", "local"]
    elif task == "lint":
        variables["PYTHONPATH"] = "src"
    elif task.startswith("test"):
        print(TASKS[task][0], flush=True)
    elif task == "ui":
        # Nothing here uses MLflow's eight processes for jobs, which end with tracebacks
        variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        # One reader; more would take longer to start, and each would print the same warning
        of_one = {"MLFLOW_WORKERS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
        variables = {**of_one, "PYTHONWARNINGS": "ignore", **variables}
        # macOS itself answers at 5000
        ports = (str(port) for port in range(5000, 5100) if not answers(port))
        variables["MLFLOW_PORT"] = os.environ.get("MLFLOW_PORT") or next(ports)
        threading.Thread(target=show, args=[variables["MLFLOW_PORT"]], daemon=True).start()
    commands[-1:] = [[*words, *typed] for words in commands[-1:]]
    return next(filter(None, (execute(words, variables) for words in commands)), 0)


def execute(words: list, variables: dict) -> int:
    """Run a command of .venv, and wait for its end also after Ctrl-C; returns its status."""
    words[0] = shutil.which(words[0], path=str(BIN)) or words[0]
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to the command as well
    process = subprocess.Popen(words, cwd=str(ROOT), env=variables)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    status = process.wait()
    return status if status >= 0 else 128 - status


def answers(port: int) -> bool:
    """Whether a server of this machine has this port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def show(port: str) -> None:
    """Wait for MLflow's page, print its address, and open it where there is a desktop."""
    print("Starting MLflow's page, which takes 5 to 30 seconds", flush=True)
    while not answers(int(port)):
        time.sleep(0.2)
    url = f"http://127.0.0.1:{port}/{page_of_last_run(ROOT / 'mlflow.db')}"
    print(f"MLflow's page: {url} (Ctrl-C ends it)", flush=True)
    has_desktop = {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    if has_desktop or sys.platform in ("win32", "darwin"):
        webbrowser.open(url)


def page_of_last_run(database: Path) -> str:
    """Where the experiment of the newest run is; MLflow's start page is about other things."""
    newest, query = None, "SELECT experiment_id FROM runs ORDER BY start_time DESC LIMIT 1"
    with contextlib.suppress(sqlite3.Error):  # the runs may be elsewhere
        address = f"{database.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as store:
            newest = store.execute(query).fetchone()
    return f"#/experiments/{newest[0]}/runs?workflowType=machine_learning" if newest else ""


def set_up(task: str) -> None:
    """Make .venv, unless its stamp says that it is here, with what environment.yml lists."""
    packages = read_packages((ROOT / "environment.yml").read_text(encoding="utf-8"))
    stamp, content = VENV / "ready", "\n".join(["# " + str(VENV.resolve()), *packages])
    has_python = shutil.which("python", path=str(BIN))
    if not (has_python and stamp.is_file() and stamp.read_text(encoding="utf-8") == content):
        if not (3, 11) <= sys.version_info < (3, 15):
            version = sys.version.split()[0]
            sys.exit(
                f"Python {version} of {sys.executable}: take one of 3.11 to 3.14, for example "
                f"`python3.12 tasks.py {task}` or on Windows `py -3.12 tasks.py {task}`."
            )
        if os.name == "nt" and Path(sys.prefix) == VENV:
            sys.exit(f"{VENV} runs this Python: `deactivate`, then python tasks.py {task}")
        print(f"Setting up {VENV}: once, 1 to 5 minutes, 1.5 GB", flush=True)
        try:
            install(packages)
        except (KeyboardInterrupt, OSError, subprocess.CalledProcessError) as error:
            reason = error if isinstance(error, OSError) else "see above"
            sys.exit(
                f"{VENV} is not complete: {reason}. Correct the cause (often the connection, or "
                f"the index in pip.conf), then repeat: python tasks.py {task}"
            )
        stamp.write_text(content, encoding="utf-8")
    add_hook()


def read_packages(text: str) -> list:
    """The packages of the list `pip:` in environment.yml, as nothing can parse YAML yet."""
    packages, dash = [], None  # the column of the dash before `pip:`
    for line in text.splitlines():
        line = line.split(" #")[0].rstrip()
        item = line.lstrip(" ")
        if not item or item[0] == "#":
            continue
        column = len(line) - len(item)
        if dash is not None and column > dash:
            packages.append(item[1:].strip(" \"'"))
        else:
            dash = column if item.split() == ["-", "pip:"] else None
    return packages


def install(packages: list) -> None:
    """Make an empty .venv, and install the packages with uv, or with pip if uv fails."""
    (VENV / "ready").unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    listed, python = VENV / "requirements.txt", shutil.which("python", path=str(BIN))
    listed.write_text("\n".join(packages), encoding="utf-8")
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", *quiet]
    uv = shutil.which("uv")
    if not uv:
        subprocess.run([*pip, *(each for each in packages if each.startswith("uv=="))])
        uv = shutil.which("uv", path=str(BIN))
    options = ["--compile-bytecode", "--python", python, "-r", str(listed), *quiet]
    # uv takes a third of pip's time, but knows nothing of an index set in pip.conf
    if not uv or subprocess.run([uv, "pip", "install", *options]).returncode:
        print("uv failed; pip takes its place, which takes longer", flush=True)
        subprocess.run([*pip, "-r", str(listed)], check=True)


def without_conda() -> None:
    """Let `mlflow run` use the active environment if there is no conda to make one.

    This is copied into .venv, where every Python calls it when it starts. A command `mlflow` of our
    own would not do: on Windows MLflow's is an .exe, and each `pip install` may bring it back.
    """
    words = sys.orig_argv[-len(sys.argv) :]  # of `python -m mlflow run .` sys.argv has only -m
    is_mlflow = words[0].replace("\\", "/").split("/")[-1].lower() in ("mlflow", "mlflow.exe")
    if not is_mlflow or "run" not in words[1:4]:
        return
    import shutil  # the others need not wait for it

    typed = [part for word in words for part in word.split("=", 1)]
    manager = typed[typed.index("--env-manager") + 1] if "--env-manager" in typed[:-1] else ""
    needed = {"virtualenv": "pyenv", "uv": "uv"}.get(manager)
    if needed and not shutil.which(needed):  # MLflow would end with a traceback
        cure = "install it, or use the active environment: --env-manager local."
        message = f"--env-manager {manager} needs {needed}, which is not on the PATH: {cure}"
        print(message, file=sys.stderr, flush=True)
        os._exit(2)
    has_conda = {"CONDA_EXE", "MLFLOW_CONDA_HOME"} & {*os.environ} or shutil.which("conda")
    if not has_conda and not {"--env-manager", "--help"} & {word.split("=")[0] for word in words}:
        print("No conda here: mlflow runs with --env-manager local", file=sys.stderr, flush=True)
        place = sys.argv.index("run") + 1
        sys.argv[place:place] = ["--env-manager", "local"]


def add_hook() -> None:
    """Write it into .venv, unless it is there."""
    name, source = "mlflow_without_conda", inspect.getsource(without_conda)
    code = f"import os\nimport sys\n\n\n{source}\n\nwithout_conda()\n"
    for folder in [*VENV.glob("lib/python*/site-packages"), *VENV.glob("Lib/site-packages")]:
        for file, text in (f"{name}.py", code), (f"{name}.pth", f"import {name}\n"):
            if not (folder / file).is_file() or (folder / file).read_text("utf-8") != text:
                (folder / file).write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
