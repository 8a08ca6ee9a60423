"""Real servers on this machine, for the tests that need one."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class TrackingServer:
    """A real `mlflow server`, as MLpipeline.md has it."""

    def __init__(self, folder: Path, database: str = "sqlite:///mlflow.db"):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        words = ["server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        words += ["--backend-store-uri", database, "--artifacts-destination", "./mlruns"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            cwd=folder,
            # Without its eight processes for jobs, which nothing here uses
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,  # a line for each request
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while "startup complete" not in self.process.stderr.readline():
            assert self.process.poll() is None

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
        self.process.stderr.close()


class GitServer:
    """Serves the repositories of a folder on loopback."""

    def __init__(self, folder: Path):
        port = free_port()
        command = ["git", "daemon", "--verbose", "--export-all", "--listen=127.0.0.1"]
        self.daemon = subprocess.Popen(
            [*command, f"--port={port}", f"--base-path={folder}", str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        while "Ready" not in self.daemon.stderr.readline():
            assert self.daemon.poll() is None
        self.url = f"git://127.0.0.1:{port}"

    def stop(self) -> None:
        # The daemon proper is a child of what was started
        subprocess.run(["pkill", "-P", str(self.daemon.pid)], check=False)
        self.daemon.terminate()
        self.daemon.wait()
        self.daemon.stderr.close()


class Door:
    """An address that a server can go away from and come back to without being started again."""

    def __init__(self, server: TrackingServer):
        self.server = server.port
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.is_open = False
        self.guests: set[socket.socket] = set()
        self.threads: list[threading.Thread] = []

    def open(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.listener.settimeout(0.1)
        self.is_open = True
        self._start(self._let_in)

    def shut(self) -> None:
        """From now on nothing listens there, and who is in is out."""
        if not self.is_open:
            return
        self.is_open = False
        self.threads[0].join()
        self.listener.close()
        for guest in [*self.guests]:
            with contextlib.suppress(OSError):  # it has gone by itself
                guest.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.threads.clear()

    def _start(self, work: Callable, *arguments: socket.socket) -> None:
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self.threads[-1].start()

    def _let_in(self) -> None:
        while self.is_open:
            with contextlib.suppress(TimeoutError):
                guest, _ = self.listener.accept()
                self.guests.add(guest)
                self._start(self._lead, guest)

    def _lead(self, guest: socket.socket) -> None:
        """Hand on what the one side sends to the other, until one of them has had enough."""
        with guest, socket.create_connection(("127.0.0.1", self.server)) as server:
            other = {guest: server, server: guest}
            with contextlib.suppress(OSError):  # it is cut off
                while all(
                    [self._hand_on(side, other[side]) for side in select.select(other, [], [])[0]]
                ):
                    pass
            self.guests.discard(guest)

    def _hand_on(self, source: socket.socket, target: socket.socket) -> bool:
        content = source.recv(2**16)
        target.sendall(content)
        return bool(content)


class S3:
    """Moto's server; `variables` are what a user sets to reach it."""

    def __init__(self):
        from moto.server import ThreadedMotoServer
        from s3fs import S3FileSystem

        self.server = ThreadedMotoServer("127.0.0.1", 0)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": host,
        }
        self.files = S3FileSystem(
            key="key", secret="secret", endpoint_url=self.variables["AWS_ENDPOINT_URL"]
        )
        self.files.mkdir("bucket")

    def tamper(self, artifact, content: bytes | None) -> None:
        if content is None:
            self.files.rm(artifact.uri)
        else:
            self.files.pipe(artifact.uri, content)

    def stop(self) -> None:
        self.server.stop()


class PostgreSQL:
    """A server of its own, out of the programs that are installed."""

    def __init__(self):
        places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
        programs = os.pathsep.join(places)
        initdb, postgres = (shutil.which(name, path=programs) for name in ("initdb", "postgres"))
        if not initdb or not postgres:
            pytest.skip("needs PostgreSQL: apt-get install postgresql")
        self.port = free_port()
        # It refuses to work for root; another user cannot look into pytest's folders
        user = "nobody" if os.geteuid() == 0 else None
        self.folder = tempfile.TemporaryDirectory(prefix="postgresql-", dir="/tmp")
        data = self.folder.name
        if user:
            shutil.chown(data, user)
        subprocess.run(
            [initdb, "--pgdata", data, "--username=user", "--auth=trust", "--no-sync"],
            check=True,
            user=user,
            cwd=data,
            capture_output=True,
        )
        options = ["-c", "unix_socket_directories=", "-c", "fsync=off", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [postgres, "-D", data, "-h", "127.0.0.1", *options],
            user=user,
            cwd=data,
            stderr=subprocess.PIPE,
            text=True,
        )
        while "ready to accept connections" not in self.process.stderr.readline():
            assert self.process.poll() is None
        self.url = f"postgresql://user@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()
