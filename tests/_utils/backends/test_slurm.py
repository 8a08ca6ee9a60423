"""A component on a node of SLURM, with a double of srun."""

import os
import shutil

import mlflow
import pytest

from _utils.backends import slurm
from _utils.pipeline import execute
from _utils.pipeline.component import Component
from _utils.pipeline.log import Log


@pytest.mark.parametrize(
    ("place", "message"), [(None, "backend slurm needs the command srun"), ("/usr/bin/srun", "")]
)
def test_faults(tmp_path, monkeypatch, place, message):
    monkeypatch.setattr(shutil, "which", {"srun": place}.get)
    faults = [*slurm.faults(Component("trial", tmp_path, {}, "", "slurm", {"partition": "debug"}))]
    assert message in "".join(faults) and bool(faults) == bool(message)


@pytest.mark.skipif(os.name == "nt", reason="srun is never there")
@pytest.mark.parametrize(
    ("srun", "command", "exit_code"),
    [
        ('exec "${@:2}"', "true # done", 0),
        ('exec "${@:2}"', "exit 3", 3),
        ('"${@:2}"', "kill -9 $$", 137),
        ('"${@:2}"; echo "Node failure on n1"; exit 1', "true", 0),  # after the command has ended
        ('echo "srun: error: Node failure on n1"; exit 0', "true", 1),
        ('"${@:2}" & sleep 0.5; kill -9 $!; exit 0', "kill -9 $PPID; sleep 9", 1),
        ("exit 143", "true", 143),
    ],
)
def test_the_exit_status_is_that_of_the_command_not_of_srun(
    scratch_store, tmp_path, monkeypatch, srun, command, exit_code
):
    folder = tmp_path / "src/trial"
    (tmp_path / "bin").mkdir()
    folder.mkdir(parents=True)
    for name, lines in {"srun": srun, "sleep": "exec /bin/sleep 0.1"}.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{lines}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    project = f"name: trial\nentry_points: {{main: {{command: '{command}'}}}}\n"
    (folder / "MLproject").write_text(project)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with mlflow.start_run() as pipeline:
        on_node = Component("trial", folder, {}, "", "slurm", {})
        result = execute.run_component(on_node, pipeline, "local", Log())
    assert result.exit_code == exit_code
    assert result.status == ("FAILED" if exit_code else "FINISHED")
    assert not [*(tmp_path / "outputs").iterdir()]
