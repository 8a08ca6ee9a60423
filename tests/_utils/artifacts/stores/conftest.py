"""The stores, one after the other: tests that use `artifact_store` run over all of them."""

from pathlib import Path

import mlflow
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from _utils.artifacts.stores import store_names

SETUPS = [
    pytest.param("mlflow"),
    pytest.param("reference"),
    pytest.param("reference-s3", marks=pytest.mark.slow),
    pytest.param("wandb", marks=pytest.mark.slow),
]
PRESENT = [setup for setup in SETUPS if setup.values[0].partition("-")[0] in store_names()]


@pytest.fixture(scope="module", params=PRESENT)
def artifact_store(request, scratch_store, tmp_path_factory):
    """This process set to use a store; the value is a function that writes over an artifact."""
    name, _, kind = request.param.partition("-")
    variables, tamper = {"ARTIFACT_STORE": name}, tamper_with_file
    if name != "mlflow" and (kind or name == "wandb"):
        server = request.getfixturevalue(kind or "wandb_server")
        variables |= server.variables
        tamper = server.tamper
    if name == "reference":
        folder = tmp_path_factory.mktemp("my storage").as_uri()
        variables["STORAGE_URL"] = "s3://bucket/artifacts" if kind else folder
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in variables.items():
            patch.setenv(variable, value)
        mlflow.set_experiment(f"stores-{request.param}")
        yield tamper


def tamper_with_file(artifact, content):
    path = Path(local_file_uri_to_path(artifact.uri))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
