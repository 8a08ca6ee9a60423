"""The files in `schedules`: each is valid for its scheduler, and runs the documented command."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, clone, store_of
from documents import documented
from small import PREPARE, make_pipeline

import tasks

fcntl = pytest.importorskip("fcntl", reason="cron, systemd and containers need a Unix")
needs_flock = pytest.mark.skipif(not shutil.which("flock"), reason="macOS comes without flock")
SCHEDULES = ROOT / "schedules"
COMMAND = re.compile(r"^[^#\n]*\b(mlflow run \. .*main\.on_alarm=retrain)", re.MULTILINE)
# Prints its arguments and its folder
STUB = '#!/bin/sh\nfor each; do echo "$each"; done\npwd\n'
RUN = [
    *("run", ".", "--env-manager", "local", "-P", "steps=batch_scoring,monitoring"),
    *("-P", "hydra_options=main.on_alarm=retrain"),
]


def read(name: str) -> str:
    return (SCHEDULES / name).read_text()


def check_cron(when: str) -> None:
    """Fail unless the text is five fields of cron, within their limits."""
    each = r"(\*|\d+(-\d+)?)(/\d+)?"
    for field, (low, high) in zip(
        when.split(), [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)], strict=True
    ):
        assert re.fullmatch(rf"{each}(,{each})*", field), field
        assert all(low <= int(number) <= high for number in re.findall(r"\d+", field)), field


def cron_line() -> tuple[str, str]:
    """The five fields of time, and the command."""
    (line,) = re.findall(r"^(?![#\w]+=)[^#\n].*", read("crontab"), re.MULTILINE)
    *when, command = line.split(maxsplit=5)
    return " ".join(when), command


def run_as(command: list[str], folder: Path, path: Path | None, **variables: str) -> str:
    """Run a command with the few environment variables that a scheduler sets."""
    paths = os.pathsep.join([*([str(path)] if path else []), "/usr/bin:/bin"])
    environment = {"HOME": str(folder), "PATH": paths, "MLFLOW_DISABLE_TELEMETRY": "true"}
    ran = subprocess.run(
        command, cwd=folder, env={**environment, **variables}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def stubbed(tmp_path):
    """A project folder whose environment has a stub as `mlflow`."""
    folder = tmp_path / "project"
    (folder / ".venv/bin").mkdir(parents=True)
    stub = folder / ".venv/bin/mlflow"
    stub.write_text(STUB)
    stub.chmod(0o755)
    return folder


def test_all_run_the_same():
    files = ["crontab", "github-actions.yml", "kubernetes-cronjob.yaml", "pipeline.service"]
    periodic = documented("MLpipeline.md", "--env-manager local -P steps=batch_scoring,monitoring")
    for text in [*map(read, files), periodic]:
        assert [shlex.split(each) for each in COMMAND.findall(text)] == [["mlflow", *RUN]]
    assert sorted(path.name for path in SCHEDULES.iterdir()) == [
        *(*files, "pipeline.timer", "schtasks.cmd")
    ]


def test_windows_task_scheduler(monkeypatch):
    """tasks.py itself adds `--env-manager local`."""
    (line,) = re.findall(r"^schtasks .*", read("schtasks.cmd"), re.MULTILINE)
    (task,) = re.findall('/tr "([^"]*)"$', line)
    assert len(task) <= 261  # schtasks takes no more
    python, script, *words = task.split()
    assert python.endswith("python.exe") and script.endswith(r"\tasks.py")
    started = []
    monkeypatch.setattr(tasks, "set_up", lambda task: None)
    monkeypatch.setattr(tasks, "execute", lambda words, variables: started.append(words))
    tasks.main(*words)
    assert started == [["mlflow", *RUN]]


@needs_flock
def test_cron(stubbed):
    when, command = cron_line()
    check_cron(when)
    assert "%" not in command  # cron would end the line there
    run_as(["/bin/sh", "-c", command], stubbed.parent, None, PROJECT=str(stubbed))
    log = stubbed / "outputs/periodic.log"
    assert log.read_text().splitlines() == [*RUN, str(stubbed)]
    with (stubbed / "outputs/periodic.lock").open("w") as lock:  # a run is still active
        fcntl.flock(lock, fcntl.LOCK_EX)
        skipped = subprocess.run(["sh", "-c", command], env={**os.environ, "PROJECT": str(stubbed)})
    assert skipped.returncode == 1 and len(log.read_text().splitlines()) == len(RUN) + 1


@needs_flock
@pytest.mark.slow
def test_the_cron_line_runs_a_pipeline(tmp_path):
    components = {"batch_scoring": (PREPARE, {}), "monitoring": (PREPARE, {})}
    folder = clone(tmp_path / "project")
    for name in components:
        shutil.rmtree(folder / "src" / name)
    make_pipeline(folder, components, [*components])
    (folder / ".venv").symlink_to(Path(sys.prefix))
    run_as(["/bin/sh", "-c", cron_line()[1]], tmp_path, None, PROJECT=str(folder))
    assert "FINISHED" in (folder / "outputs/periodic.log").read_text()
    store = store_of(folder)
    names = [run.info.run_name for run in store.children(store.pipeline())]
    assert names == ["batch_scoring", "monitoring"]


def test_systemd(stubbed):
    units = configparser.ConfigParser(interpolation=None)
    units.optionxform = str
    units.read(SCHEDULES / "pipeline.service")
    service = {
        key: value.replace("%h", str(stubbed.parent)) for key, value in units["Service"].items()
    }
    _, path = service["Environment"].split("=")
    output = run_as(shlex.split(service["ExecStart"]), service["WorkingDirectory"], None, PATH=path)
    assert output.splitlines() == [*RUN, str(stubbed)]
    units.read(SCHEDULES / "pipeline.timer")
    assert units["Timer"]["Persistent"] == "true"
    if not shutil.which("systemd-analyze"):
        pytest.skip("the rest needs systemd")
    subprocess.run(["systemd-analyze", "calendar", units["Timer"]["OnCalendar"]], check=True)
    for name in "pipeline.service", "pipeline.timer":
        shutil.copy(SCHEDULES / name, stubbed)
    verify = ["systemd-analyze", "verify", "--user", "./pipeline.service", "./pipeline.timer"]
    verified = subprocess.run(
        verify,
        cwd=stubbed,
        env={**os.environ, "XDG_RUNTIME_DIR": str(stubbed), "SYSTEMD_LOG_LEVEL": "debug"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert verified.returncode == 0, verified.stdout
    assert "Unknown" not in verified.stdout
    (command,) = re.findall("Command Line: (.*mlflow.*)", verified.stdout)
    assert shlex.split(command) == ["/usr/bin/env", "mlflow", *RUN]


def test_github_actions(stubbed):
    workflow = yaml.safe_load(read("github-actions.yml"))
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as true
    assert triggers.keys() == {"schedule", "workflow_dispatch"}
    assert workflow["concurrency"] == {"group": "periodic-run"}
    check_cron(triggers["schedule"][0]["cron"])
    (job,) = workflow["jobs"].values()
    variables = dict.fromkeys(job["env"], "http://localhost:5000")
    (stubbed / "tasks.py").write_text("")  # its environment is there
    added = stubbed / "path"
    for step in job["steps"]:
        if "run" in step:
            path = Path(added.read_text().strip()) if added.exists() else None
            shell = ["bash", "-e", "-c", step["run"]]
            output = run_as(shell, stubbed, path, GITHUB_PATH=str(added), **variables)
    assert output.splitlines() == [*RUN, str(stubbed)]
    check = next(step["run"] for step in job["steps"] if "server" in step.get("name", ""))
    refused = subprocess.run(["bash", "-c", check], env={"MLFLOW_TRACKING_URI": ""}, text=True)
    assert refused.returncode == 1


def test_kubernetes(stubbed):
    cron_job = yaml.safe_load(read("kubernetes-cronjob.yaml"))
    check_cron(cron_job["spec"]["schedule"])
    assert cron_job["spec"]["concurrencyPolicy"] == "Forbid"
    (container,) = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    assert run_as(command, stubbed, stubbed / ".venv/bin").splitlines() == [*RUN, str(stubbed)]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("package", "command", "name"),
    [
        (
            "check-jsonschema==0.39.0",
            "check_jsonschema --builtin-schema vendor.github-workflows",
            "github-actions.yml",
        ),
        (
            "kubernetes-validate==1.37.0",
            "kubernetes_validate --strict",
            "kubernetes-cronjob.yaml",
        ),
    ],
    ids=["github-actions", "kubernetes"],
)
def test_schema(tmp_path, package, command, name):
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(tmp_path)]
    subprocess.run([*uv, package], check=True)
    checked = subprocess.run(
        [sys.executable, "-m", *command.split(), str(SCHEDULES / name)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert checked.returncode == 0
