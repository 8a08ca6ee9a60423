"""Which backends there are, and what one of this machine is told."""

import json

import pytest
from conftest import not_on_windows

from _utils import capabilities
from _utils.errors import UserError
from _utils.pipeline import backend
from _utils.pipeline.backend import LocalBackend


def test_a_backend_that_was_deleted_is_named(monkeypatch):
    assert backend.loader.load_backend("local").__class__ is LocalBackend
    monkeypatch.setattr(capabilities, "has_capability", lambda name: False)
    with pytest.raises(UserError, match=r"backend=slurm needs src/_utils/backends/slurm, which"):
        backend._load("slurm")


@not_on_windows("the test's command is one of bash")
def test_a_process_starts_with_the_options_of_the_config(scratch_store, tmp_path):
    entry = {"parameters": {"x": "string"}, "command": "echo {x}; exit 3"}
    (tmp_path / "MLproject").write_text(json.dumps({"entry_points": {"main": entry}}))
    local = LocalBackend()
    started = local.run(
        str(tmp_path),
        "main",
        {"x": "a 'b' $PATH"},
        None,
        {
            **{"ENV_MANAGER": "local", "DOCKER_ARGS": None, "STORAGE_DIR": None},
            **{"build_image": False, "docker_auth": None, "SYNCHRONOUS": False},
            "partition": "debug",
        },
        scratch_store,
        "0",
    )
    assert local.options == {"partition": "debug"}
    assert started.output.read() == b"a 'b' $PATH\n"
    assert started.command_proc.wait() == 3
    started.output.close()
