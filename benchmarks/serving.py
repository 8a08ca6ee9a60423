"""A load test of `serve`, and a comparison with plain `mlflow models serve`.

python benchmarks/serving.py [seconds]

Run it in a project that has a champion. First, clients send good and bad requests for that many
seconds (60); halfway, a copy of the champion is promoted. No good request may fail. Then the
clients send single rows to both servers in turn, for as many seconds each. Goal: a ratio of at
least 1. At the end the champion is the same as before.
"""

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import mlflow
from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[1]
NAME = "fuel_economy"
STORE = f"sqlite:///{ROOT / 'mlflow.db'}"
CLIENTS = 4
ROUNDS = 6
JSON = "application/json"


class Clients:
    """Threads that send one request after the other, each over a connection of its own."""

    def __init__(self, port: int, requests: list[tuple[bool, bytes, str]]):
        self.port, self.requests = port, requests
        self.answers: Counter = Counter()  # by (the request was good, status, version)
        self.lock = threading.Lock()

    def send_for(self, seconds: float, version: str = "") -> float:
        """Send requests until this version has answered; returns good answers per second."""
        end = time.monotonic() + seconds
        self.awaited = {version} - {""}
        threads = [
            threading.Thread(target=self._send, args=(end, number)) for number in range(CLIENTS)
        ]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = sum(n for (good, status, _), n in self.answers.items() if good and status == 200)
        return good / (time.monotonic() - start)

    def _send(self, end: float, number: int) -> None:
        connection, counted = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60), []
        while time.monotonic() < end or self.awaited:
            good, body, content_type = self.requests[number % len(self.requests)]
            number += 1
            try:
                connection.request("POST", "/invocations", body, {"Content-Type": content_type})
                answer = connection.getresponse()
                answer.read()
                version = answer.headers.get("x-model-version", "")
                counted.append((good, answer.status, version))
                self.awaited.discard(version)
            except (OSError, http.client.HTTPException) as error:
                counted.append((good, type(error).__name__, ""))
                connection.close()
        connection.close()
        with self.lock:
            self.answers.update(counted)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(command: str, port: int) -> subprocess.Popen:
    """Start a server in a session of its own, and wait until it answers."""
    print(command, flush=True)
    log = Path(tempfile.mkdtemp()) / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            command.split(), cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return process
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
        if process.poll() is not None:
            sys.exit(log.read_text())


def stop(process: subprocess.Popen) -> float:
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait()
    return time.monotonic() - begin


def requests_of(model: mlflow.pyfunc.PyFuncModel) -> tuple[list, list]:
    """Good requests of a single row, and a mix of good and bad requests."""
    rows = json.loads(model.input_example.to_json(orient="records"))
    single = [(True, json.dumps({"dataframe_records": [row]}).encode(), JSON) for row in rows]
    row, required = rows[0], model.metadata.get_input_schema().required_input_names()[0]
    missing = {key: value for key, value in row.items() if key != required}
    mixed = [
        *single,
        (True, json.dumps({"inputs": rows}).encode(), JSON),
        (True, json.dumps({"dataframe_records": [dict.fromkeys(row)]}).encode(), JSON),
        (True, model.input_example.to_csv(index=False).encode(), "text/csv"),
        (False, json.dumps({"dataframe_records": [missing]}).encode(), JSON),
        (False, b"{garbage", JSON),
        (False, b"\xff\xfe\x00", JSON),
        (False, b"", "text/plain"),
        (False, b" " * 2_000_000, JSON),
    ]
    return single, mixed


def copy_of_champion() -> tuple[str, str]:
    """Register the champion's model again; returns the numbers of both versions."""
    champion = MlflowClient().get_model_version_by_alias(NAME, "champion")
    copy = mlflow.register_model(champion.source, NAME, tags=champion.tags)
    return str(champion.version), str(copy.version)


def load_test(port: int, mixed: list, new: str, seconds: float) -> None:
    """Send mixed requests, promote this version halfway, and print the answers."""
    clients, start = Clients(port, mixed), time.monotonic()
    threading.Timer(seconds / 2, promote, [new]).start()
    clients.send_for(seconds, version=new)
    failed = sum(n for (good, status, _), n in clients.answers.items() if good and status != 200)
    for (good, status, version), n in sorted(clients.answers.items(), key=str):
        print(f"  {'good' if good else 'bad'} {status} version {version or '-'}: {n}")
    print(f"{failed} good requests failed in {time.monotonic() - start:.0f} s", flush=True)


def promote(version: str) -> None:
    MlflowClient().set_registered_model_alias(NAME, "champion", version)


def main(seconds: float) -> None:
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    mlflow.set_tracking_uri(STORE)
    single, mixed = requests_of(mlflow.pyfunc.load_model(f"models:/{NAME}@champion"))
    port, plain_port = free_port(), free_port()
    old, new = copy_of_champion()
    ours = start(f"mlflow run . --env-manager local -e serve -P port={port}", port)
    try:
        load_test(port, mixed, new, seconds)
    finally:
        promote(old)
        MlflowClient().delete_model_version(NAME, new)
    os.environ["MLFLOW_TRACKING_URI"] = STORE
    plain_command = f"mlflow models serve -m models:/{NAME}/{old} --env-manager local"
    plain = start(f"{plain_command} -p {plain_port}", plain_port)
    of_each = seconds / ROUNDS
    for each in (port, plain_port):
        Clients(each, single).send_for(2)  # warm up
    ratios = []
    for _ in range(ROUNDS):
        of_ours = Clients(port, single).send_for(of_each)
        of_plain = Clients(plain_port, single).send_for(of_each)
        ratios.append(of_ours / of_plain)
        print(f"serve {of_ours:.1f}/s  plain {of_plain:.1f}/s  ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")
    print(f"Ctrl-C ended serve in {stop(ours):.1f} s")
    stop(plain)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
