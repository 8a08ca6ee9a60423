"""The three stores, one after the other: tests that use `artifact_store` run over all of them."""

from pathlib import Path

import mlflow
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from _utils.artifacts import log_artifact
from _utils.artifacts.stores import STORES, chosen_store

SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("wandb", "reference-s3")]


@pytest.fixture(scope="module", params=["mlflow", "reference", *SLOWER])
def artifact_store(request, scratch_store, tmp_path_factory):
    """This process set to use a store; the value is a function that writes over an artifact."""
    store, _, kind = request.param.partition("-")
    variables, tamper = {"ARTIFACT_STORE": store}, tamper_with_file
    if kind == "s3":
        s3 = request.getfixturevalue("s3")
        variables |= {**s3.variables, "STORAGE_URL": "s3://bucket/artifacts"}
        tamper = s3.tamper
    elif store == "reference":
        variables |= {"STORAGE_URL": tmp_path_factory.mktemp("storage").as_uri()}
    elif store == "wandb":
        wandb = request.getfixturevalue("wandb_server")
        variables |= wandb.variables
        tamper = wandb.tamper
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        mlflow.set_experiment(f"stores-{request.param}")
        yield tamper


def tamper_with_file(artifact, content):
    path = Path(local_file_uri_to_path(artifact.uri))
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.fixture
def publish(artifact_store, tmp_path):
    """Publishes a text, as a component would."""

    def publish(name, text, status="FINISHED", type="text"):
        path = tmp_path / name
        path.write_text(text)
        with component(status):
            return log_artifact(path, type=type, description="a text")

    return publish


class component:
    """What a component works within: its run, here and where the artifacts are kept."""

    def __init__(self, status="FINISHED"):
        self.status = status

    def __enter__(self):
        run = mlflow.start_run()
        self.store = STORES[chosen_store()].component_run(run.info.run_id)
        self.store.__enter__()
        return run

    def __exit__(self, *fault):
        self.store.__exit__(*fault)
        mlflow.end_run("FAILED" if fault[0] else self.status)
