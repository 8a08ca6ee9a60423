"""The champion behind a real uvicorn, with models that were trained on a handful of rows."""

import gc
import http.client
import json
import logging
import socket
import tempfile
import threading
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import uvicorn
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.utils.file_utils import local_file_uri_to_path
from sklearn.linear_model import LogisticRegression

from _utils.errors import UserError
from _utils.models import log_model
from _utils.models.lineage import register_model
from _utils.models.serving import Champion, http_limits
from _utils.models.serving.http_limits import server_config
from _utils.tabular.contract import read_contract
from _utils.tabular.model import random_forest
from _utils.tabular.terms import CATEGORY, NUMBER

# MLflow and scikit-learn warn of much that a client may send; as errors they would be answers
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

DATA = Path(__file__).parents[2] / "resources/data"
CARS = read_contract(DATA / "fuel_economy.contract.yaml")
FEATURES = [*CARS.features]
NUMERIC = [name for name, kind in CARS.features.items() if kind == NUMBER]
CATEGORICAL = [name for name, kind in CARS.features.items() if kind == CATEGORY]
JSON, CSV = "application/json", "text/csv"
MAX_BYTES = 5000
ROW = {name: 4.0 for name in NUMERIC} | {name: "A" for name in CATEGORICAL} | {"carline": "GOLF"}
TABLE = pd.DataFrame([ROW])
SPLIT = {"columns": list(ROW), "data": [list(ROW.values())]}
NESTED = '{"inputs": ' + "[" * 2000 + "]" * 2000 + "}"
ONE = {"dataframe_records": [ROW]}


def changed(**values) -> dict:
    return {"dataframe_records": [ROW | values]}


def without(name: str) -> dict:
    return {"dataframe_records": [{key: value for key, value in ROW.items() if key != name}]}


def register(name: str, mpg: float) -> str:
    """Register a model that always predicts this many; returns the number of the version."""
    rows = pd.DataFrame([ROW, ROW | {"carline": "POLO", "car_truck": None}] * 5)[FEATURES]
    model = random_forest(CARS, rows, 2, {"n_estimators": 2, "n_jobs": 1})
    model.fit(rows, [mpg] * len(rows))
    with mlflow.start_run():
        log_model(model, name="model", example=rows)
        logged = mlflow.last_logged_model()
    return str(mlflow.register_model(logged.model_uri, name).version)


def let_be_champion(name: str, version: str) -> None:
    MlflowClient().set_registered_model_alias(name, "champion", version)


class Server:
    """Uvicorn on a port of its own, in a thread."""

    def __init__(self, champion: Champion):
        config = server_config(champion)
        config.port = 0
        self.uvicorn = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.uvicorn.run)
        self.thread.start()
        while not self.uvicorn.started:
            self.thread.join(0.01)
        self.port = self.uvicorn.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.uvicorn.should_exit = True
        self.thread.join()

    def ask(
        self, body, content_type: str | None = JSON, path: str = "/invocations", host: str = ""
    ):
        """The status, the answer's text and the version that gave it."""
        if isinstance(body, dict):
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        headers = {"Content-Type": content_type} if content_type else {}
        headers |= {"Host": host} if host else {}
        connection.request("POST" if body is not None else "GET", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers["x-model-version"]


@pytest.fixture(scope="module")
def two_versions(scratch_store) -> tuple[str, str]:
    return register("economy", 20.0), register("economy", 40.0)


@pytest.fixture
def champion(two_versions) -> Champion:
    let_be_champion("economy", two_versions[0])
    return Champion("economy", MAX_BYTES)


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_classifier_answers_with_labels_or_with_probabilities(scratch_store, probabilities):
    rows = pd.DataFrame({"a": [0.0, 1.0] * 9})
    model = LogisticRegression().fit(rows, ["no", "yes"] * 9)
    with mlflow.start_run():
        made = log_model(model, name="model", example=rows)
    let_be_champion("churn", register_model(made.reference, "churn", {}).version)
    server = Server(Champion("churn", MAX_BYTES, probabilities))
    status, text, _ = server.ask({"dataframe_records": [{"a": 0.0}]})
    server.stop()
    (answer,) = json.loads(text)["predictions"]
    if probabilities:
        assert status == 200 and [*answer] == ["no", "yes"] and answer["no"] > 0.5
    else:
        assert (status, answer) == (200, "no")


def test_a_model_of_numbers_has_no_probabilities(two_versions):
    let_be_champion("economy", two_versions[0])
    with pytest.raises(UserError, match="needs a classifier with predict_proba, which this mod"):
        Champion("economy", MAX_BYTES, probabilities=True)


@pytest.fixture(scope="module")
def server(two_versions):
    """The first version, served; it follows no other."""
    let_be_champion("economy", two_versions[0])
    server = Server(Champion("economy", MAX_BYTES))
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (ONE, JSON),
        ({"dataframe_split": SPLIT}, JSON),
        ({"inputs": [ROW]}, JSON),
        ({"instances": [ROW]}, JSON),
        (TABLE.to_csv(index=False), CSV),
        (changed(no_gears=None, division=None, carline=None), JSON),
        (changed(division="of another planet", carline=""), JSON),
        (changed(no_gears=4, color="red"), JSON),
        (json.dumps(changed(no_gears=float("nan"))), JSON),
    ],
)
def test_a_good_request_is_answered_by_the_champion(server, two_versions, body, content_type):
    status, text, version = server.ask(body, content_type)
    assert (status, json.loads(text), version) == (200, {"predictions": [20.0]}, two_versions[0])


@pytest.mark.parametrize(
    ("body", "content_type", "status", "told"),
    [
        (without("no_gears"), JSON, 400, "missing inputs ['no_gears']"),
        (without("car_truck"), JSON, 400, "columns are missing: ['car_truck']"),
        (pd.DataFrame([ROW]).to_csv(sep=";"), CSV, 400, "missing inputs"),
        (pd.DataFrame([ROW | {"no_gears": "NA"}]).to_csv(), CSV, 400, "'NA' is not a number"),
        (changed(no_gears="six"), JSON, 400, "Failed to convert column no_gears"),
        (changed(division={"a": [1]}), JSON, 400, "{'a': [1]} is neither text, number"),
        (json.dumps(changed(no_gears=float("inf"))), JSON, 400, "contains infinity"),
        ("{garbage", JSON, 400, "valid JSON"),
        ("[1, 2]", JSON, 400, "dataframe_records"),
        ({"rows": []}, JSON, 400, "dataframe_records"),
        ({"dataframe_records": []}, JSON, 400, "missing inputs"),
        (NESTED, JSON, 400, "RecursionError"),
        (",".join(ROW), CSV, 400, "The model refuses this: "),
        (ONE, "text/plain", 415, "application/json"),
        (ONE, None, 415, "no Content-Type: send one of text/csv, application/json"),
        ("x" * (MAX_BYTES + 1), JSON, 413, f"more than {MAX_BYTES} bytes"),
        ([b"x" * MAX_BYTES, b"y"], JSON, 413, f"more than {MAX_BYTES} bytes"),  # sent in chunks
    ],
)
def test_a_bad_request_is_told_what_is_wrong(server, body, content_type, status, told):
    answered, text, version = server.ask(body, content_type)
    assert answered == status
    assert told in text
    assert version
    assert "Traceback" not in text
    assert server.ask(ONE)[0] == 200


def test_the_limit_is_what_is_allowed(server):
    good = json.dumps(ONE)
    assert server.ask(good.ljust(MAX_BYTES))[0] == 200
    assert server.ask([good.encode(), b" " * (MAX_BYTES - len(good))])[0] == 200


def test_the_other_endpoints_are_mlflows(server, two_versions):
    for path in ("/ping", "/health", "/docs"):
        status, _, version = server.ask(None, path=path)
        assert (status, version) == (200, two_versions[0])
    assert server.ask(None, path="/version")[1] == mlflow.__version__


class Moody(PythonModel):
    """Fails, or answers what no JSON can hold, as it is asked to."""

    def predict(self, context, model_input: pd.DataFrame, params=None):
        if "fail" in (text := str(model_input["text"][0])):
            faults = {
                "fail": RuntimeError,
                "fail by value": ValueError,
                "fail exit": SystemExit,
            }
            raise faults[text]("out of order")
        return {"odd": {1 + 2j}}.get(text, [len(model_input)])


@pytest.fixture(scope="module")
def moody(scratch_store):
    rows = pd.DataFrame({"text": ["well", None], "number": [1.0, 2.0]})
    with mlflow.start_run():
        signature, packages = infer_signature(rows, [1]), ["pandas"]
        made = log_model(
            Moody(), name="model", example=rows, signature=signature, pip_requirements=packages
        )
    let_be_champion("moody", register_model(made.reference, "moody", {}).version)
    server = Server(Champion("moody", MAX_BYTES))
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("row", "status", "told"),
    [
        ({"text": "well", "number": 1.0}, 200, "[1]"),
        ({"text": "fail", "number": 1.0}, 500, "The model has failed: RuntimeError: out of order"),
        ({"text": "fail by value", "number": 1.0}, 500, "has failed: ValueError: out of order"),
        ({"text": "fail exit", "number": 1.0}, 500, "has failed: SystemExit: out of order"),
        ({"text": "odd", "number": 1.0}, 500, "The model has failed: TypeError: "),
        ({"text": "fail", "number": "x"}, 400, "Failed to convert column number"),
        ({"text": "fail", "number": 1e300}, 400, "column number contains infinity"),
        ({"number": 1.0}, 400, "columns are missing: ['text']"),
        ({"text": "well"}, 400, "missing inputs ['number']"),
    ],
)
def test_only_what_the_request_causes_is_the_clients_fault(moody, row, status, told):
    answered, text, _ = moody.ask({"dataframe_records": [row]})
    assert answered == status
    assert told in text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "LOCALHOST", "[::1]:80"])
def test_names_of_this_machine(server, host):
    assert server.ask(ONE, host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80"]
)
def test_a_page_whose_name_leads_here_has_no_answer(server, host):
    for path in ("/invocations", "/ping", "/docs"):
        assert server.ask(ONE, path=path, host=host)[0] == 400


HEAD = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"P",
        HEAD,
        HEAD + b"Content-Length: 99\r\n\r\n{",
        HEAD + b"Content-Length: 999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        HEAD + b"Content-Length: 2\r\n\r\n{}" + HEAD,
    ],
)
def test_a_client_that_trickles_is_disconnected(server, monkeypatch, sent):
    monkeypatch.setattr(http_limits, "TRANSFER_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(sent)
        begin = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < begin + 20:
                client.sendall(b" " if sent else b"")
                time.sleep(0.05)
                if not sent and not client.recv(1):
                    raise ConnectionResetError
    monkeypatch.undo()
    assert server.ask(ONE)[0] == 200


def test_a_switch_drops_no_request(champion, two_versions, caplog):
    server = Server(champion)
    caplog.set_level(logging.INFO)
    old, new = two_versions
    answers, seen = [], {old: threading.Event(), new: threading.Event()}
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            answers.append(server.ask(ONE))
            seen[answers[-1][2]].set()

    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    stop = threading.Event()
    watcher = threading.Thread(target=champion.keep_following, args=(0.05, stop))
    for thread in [*clients, watcher]:
        thread.start()
    assert seen[old].wait(20)
    let_be_champion("economy", new)
    assert seen[new].wait(20)
    done.set(), stop.set()
    for thread in [*clients, watcher]:
        thread.join()
    server.stop()
    assert {version: json.loads(text)["predictions"] for _, text, version in answers} == {
        old: [20.0],
        new: [40.0],
    }
    assert {status for status, _, _ in answers} == {200}
    assert f"Version {new} serves now, in the place of {old}" in caplog.messages


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one(
    two_versions, caplog, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    let_be_champion("economy", two_versions[0])
    broken = register("economy", 60.0)
    others = set(tmp_path.iterdir())
    champion = Champion("economy", MAX_BYTES)
    files = set(tmp_path.iterdir()) - others
    place = MlflowClient().get_model_version_download_uri("economy", broken)
    (Path(local_file_uri_to_path(place)) / "MLmodel").unlink()
    let_be_champion("economy", broken)
    for _ in range(2):
        champion.follow()
    assert champion.version == two_versions[0]
    (told,) = caplog.messages  # once
    assert f"Version {two_versions[0]} serves on" in told
    assert set(tmp_path.iterdir()) - others == files  # nothing is left of what was tried
    let_be_champion("economy", two_versions[1])
    champion.follow()
    assert champion.version == two_versions[1]
    gc.collect()
    assert len(set(tmp_path.iterdir()) - others) == 1  # and of the old one, nothing either
    assert not any(file.exists() for file in files)


def test_a_registry_that_is_away_leaves_the_old_one(champion, monkeypatch, caplog):
    def away(*_):
        raise ConnectionError("nobody there")

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", away)
    champion.follow()
    assert "nobody there" in caplog.text
    monkeypatch.undo()
    MlflowClient().delete_registered_model_alias("economy", "champion")
    champion.follow()
    assert "No version of the model 'economy' is the champion" in caplog.text


def test_without_a_champion_there_is_the_cure(scratch_store):
    with pytest.raises(UserError, match=r"No version .*champion.* -e promote"):
        Champion("unheard_of", MAX_BYTES)
