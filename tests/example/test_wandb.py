"""The example with its artifacts at W&B."""

from pathlib import Path

import pytest
from conftest import clone, store_of, type_in

from _utils.artifacts.index import outputs_of


@pytest.mark.slow
def test_wandb(wandb_server, tmp_path):
    folder, home = clone(tmp_path / "clone", store=True), tmp_path / "home"
    home.mkdir()
    variables = {**wandb_server.variables, "HOME": str(home)}
    before = {*wandb_server.versions}
    # Scripts, a notebook and an executable
    steps = ["data_extraction", "eda", "basic_cleaning", "data_check"]
    command = f"python main.py --steps={','.join(steps)} main.artifact_store=wandb"
    ran = type_in(folder, command, **variables)
    assert ran.returncode == 0, ran.stdout
    store = store_of(folder)
    components = store.children(store.pipeline())
    assert [run.info.run_name for run in components] == steps
    for run in components:
        there = wandb_server.runs[run.info.run_id]
        assert (there["project"], there["group"]) == ("mlflow_pipeline", "development")
        assert there["job_type"] == run.info.run_name and there["state"] == "finished"
        assert run.data.metrics.items() <= there["summary"].items()
        assert run.data.params.keys() <= there["config"].keys()
        written = store.text(run, "log.txt", tmp_path) + ran.stdout
        assert f"W&B: {run.data.tags['wandb.url']}" in written
        used = {wandb_server.versions[each]["collection"] for each in there["used"]}
        assert used == {key[6:] for key in run.data.tags if key.startswith("input.")}
    for artifact in (each for run in components for each in outputs_of(run)):
        version = wandb_server.named(artifact.name, artifact.version)
        assert version["run"] == artifact.run_id and version["id"] not in before
    assert not [run for run in components if "artifacts" in store.files(run)]  # no bytes in MLflow
    # Neither on record nor on the terminal
    assert wandb_server.key not in ran.stdout
    for place in (folder, home, Path(wandb_server.variables["WANDB_DATA_DIR"]).parent):
        found = type_in(
            tmp_path, f"grep --recursive --files-with-matches {wandb_server.key} '{place}'"
        )
        assert not found.stdout
    sent = [*wandb_server.files.values(), repr(wandb_server.runs).encode()]
    assert not [each for each in sent if wandb_server.key.encode() in each]
