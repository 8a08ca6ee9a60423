"""The server of a pipeline answers those who know its path, and nobody else."""

import subprocess
import sys
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from conftest import ENVIRONMENT, ROOT

SERVE = """
import os, sys
before = {**os.environ}
import mlflow
from _utils.pipeline.server import serve_tracking_store
serve_tracking_store()
with mlflow.start_run():
    mlflow.log_text("logged", "log.txt")
mlflow.MlflowClient().create_registered_model("model")
print(*[name for name in os.environ if os.environ[name] != before.get(name)])
print(os.environ["MLFLOW_TRACKING_URI"], flush=True)
sys.stdin.read()
"""
# What MLflow's client would send in the place of a password of the server
CREDENTIALS = {
    "MLFLOW_TRACKING_USERNAME": "me",
    "MLFLOW_TRACKING_PASSWORD": "secret",
    "MLFLOW_TRACKING_TOKEN": "secret",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:1",
}
# How another server, which the user runs, is protected
OF_ANOTHER = {
    "MLFLOW_SERVER_ALLOWED_HOSTS": "mlflow.example",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The names of variables that the server has set, and its URI, in spite of all credentials."""
    folder = tmp_path_factory.mktemp("served")
    (folder / ".mlflow").mkdir()
    file = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = secret\n"
    (folder / ".mlflow/credentials").write_text(file)
    (folder / ".netrc").write_text("default login me password secret\n")
    (folder / ".netrc").chmod(0o600)
    variables = {"HOME": str(folder), "PYTHONPATH": str(ROOT / "src"), **CREDENTIALS, **OF_ANOTHER}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=folder,
        env=ENVIRONMENT | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process.stdout.readline().split(), process.stdout.readline().strip()
        process.stdin.close()


def status(uri: str, path: str, **headers: str) -> int:
    try:
        with urlopen(Request(f"{uri}{path}", headers=headers)) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize("path", ["/", "/api/2.0/mlflow/experiments/get?experiment_id=0"])
def test_only_who_knows_the_path_and_asks_for_this_machine_is_answered(served, path):
    uri = served[1]
    address, secret = uri.rpartition("/")[::2]
    assert len(secret) > 40
    assert status(uri, path) == 200
    assert status(address, path) == 401
    assert status(f"{address}/{secret[:-1]}", path) == 401
    assert status(f"{address}/x/..", f"/{secret}{path}") == 401
    assert status(uri, path, Host="evil.example") == 403
    assert status(uri, path, Host=f"evil.example:{urlsplit(uri).port}") == 403


def test_it_sets_no_credentials(served):
    """They would be sent to every other server too."""
    words = ("USER", "PASSWORD", "TOKEN", "AUTH")
    assert not [name for name in served[0] if any(word in name for word in words)]
