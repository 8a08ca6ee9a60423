"""`mlflow run . -e serve` as typed: README's request, bad ones, a promotion meanwhile, Ctrl-C."""

import http.client
import json
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest
from conftest import Typed, store_of, type_in
from documents import changed, documented
from servers import free_port

pytestmark = pytest.mark.slow

SERVE = documented("README.md", "mlflow run . -e serve") + " --env-manager local"
README_REQUEST = documented("README.md", "curl http://127.0.0.1:8080/invocations")
BAD = [b"{garbage", b'{"dataframe_records": [{"no_gears": 6}]}', b" " * 2_000_000]


@pytest.fixture(scope="module")
def folder(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, for another version is promoted here."""
    folder = tmp_path_factory.mktemp("serve") / "project"
    shutil.copytree(project, folder)
    return folder


@pytest.fixture(scope="module")
def versions(folder: Path) -> tuple[str, str]:
    """The champion, and the same model registered once more."""
    client = store_of(folder).client
    old = client.get_model_version_by_alias("fuel_economy", "champion")
    place = client.get_model_version_download_uri("fuel_economy", old.version)
    new = client.create_model_version("fuel_economy", place)
    return str(old.version), str(new.version)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def serve(folder: Path, versions: tuple[str, str], port: int):
    typed = Typed(folder, f"{SERVE} -P port={port} -P hydra_options=serving.poll_seconds=0.2")
    typed.until("Ctrl-C ends it.")
    yield typed
    if typed.process.poll() is None:
        typed.signal(signal.SIGINT, "all")
        typed.end()


class Client(threading.Thread):
    """Sends the request of README again and again over one connection, and bad ones between."""

    def __init__(self, port: int, body: str):
        super().__init__()
        self.port, self.body = port, body
        self.done, self.answered = threading.Event(), threading.Condition()
        self.good: list[tuple[int, str]] = []
        self.bad: set[int] = set()
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        while not self.done.is_set():
            self.bad.add(self.ask(connection, BAD[len(self.good) % len(BAD)])[0])
            with self.answered:
                self.good.append(self.ask(connection, self.body))
                self.answered.notify()
        connection.close()

    def ask(self, connection: http.client.HTTPConnection, body: str | bytes) -> tuple[int, str]:
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["x-model-version"]

    def until(self, version: str) -> None:
        """Wait until that version has answered."""
        with self.answered:
            came = self.answered.wait_for(lambda: version in dict(map(reversed, self.good)), 120)
        assert came, self.good


def test_the_request_of_the_readme(serve, folder, versions, port):
    assert f"Version {versions[0]} of fuel_economy serves on http://127.0.0.1:{port}" in serve.text
    for command in (changed(README_REQUEST, {"8080": str(port)}), request_told(serve)):
        asked = type_in(folder, f"{command} --silent --show-error --include")
        head, _, answer = asked.stdout.replace("\r", "").partition("\n\n")
        assert f"x-model-version: {versions[0]}" in head
        (mpg,) = json.loads(answer)["predictions"]
        assert 5 < mpg < 70


def request_told(serve: Typed) -> str:
    """The example request that the terminal shows."""
    return re.search("^curl .*$", serve.text, re.M)[0]


def test_a_port_that_is_taken_is_told(serve, folder, port):
    again = type_in(folder, f"python main.py --steps=serving serving.port={port}")
    assert again.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be opened (another program uses it)" in again.stdout
    assert "Traceback" not in again.stdout


def test_a_promotion_drops_no_request(serve, folder, versions, port):
    old, new = versions
    body = re.search("-d '(.*)'", request_told(serve))[1]
    clients = [Client(port, body) for _ in range(3)]
    for client in clients:
        client.until(old)
    promoted = type_in(folder, f"mlflow run . --env-manager local -e promote -P version={new}")
    assert promoted.returncode == 0, promoted.stdout
    for client in clients:
        client.until(new)
        client.done.set()
        client.join()
        assert {status for status, _ in client.good} == {200}
        assert client.bad <= {400, 413}
        answered = [version for _, version in client.good]
        assert answered == sorted(answered)  # the old one not again
    serve.until(f"Version {new} serves now, in the place of {old}")


def test_ctrl_c_ends_it(serve, folder, port):
    at_work = serve.at_work("--port")
    serve.signal(signal.SIGINT, "all")
    assert serve.end() == 1  # MLflow's own
    assert at_work and not any(process.is_running() for process in at_work)
    assert "Traceback" not in serve.text
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port).connect()
    store = store_of(folder)
    (serving,) = store.children(
        next(run for run in store.runs() if "launcher" in run.data.tags and is_serving(run))
    )
    assert (serving.info.run_name, serving.info.status) == ("serving", "KILLED")


def is_serving(run) -> bool:
    return "serve" in run.data.tags.get("mlflow.project.entryPoint", "")
