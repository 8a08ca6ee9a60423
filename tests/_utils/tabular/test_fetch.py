import gzip
import os
import socket
import sys
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from _utils.errors import UserError
from _utils.tabular.fetch import ROOT, fetch

CSV = b"a,b\n" + b"1,x\n" * 1000
PACKED = gzip.compress(CSV)

# What the server answers: the status, the body, and further headers.
ANSWERS = {
    "/cars.csv": (200, CSV, {"Content-Length": str(len(CSV))}),
    "/endless.csv": (200, CSV, {}),
    "/packed.csv": (
        200,
        PACKED,
        {"Content-Encoding": "gzip", "Content-Length": str(len(PACKED))},
    ),
    "/cut.csv": (200, CSV, {"Content-Length": str(len(CSV) + 1)}),
    "/empty.csv": (200, b"", {"Content-Length": "0"}),
    "/secret.csv": (401, b"", {}),
    "/broken.csv": (500, b"", {}),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body, headers = ANSWERS.get(self.path.partition("?")[0], (404, b"", {}))
        if self.headers["Authorization"] == "Basic " + b64encode(b"user:pass").decode():
            status, body = 200, CSV
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("NO_PROXY", "127.0.0.1")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def bucket(s3, monkeypatch):
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    s3.files.pipe("bucket/year/cars.csv", CSV)
    return "s3://bucket"


def refusal(url, folder):
    with pytest.raises(UserError) as caught:
        fetch(url, folder)
    assert list(folder.iterdir()) == []
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


FORMS = ["{}", "file://{}", "file://localhost{}"]
FORMS += ["file:{}"] * (os.name != "nt")  # for paths that begin with a slash


@pytest.mark.parametrize("form", FORMS)
def test_a_local_file_is_used_where_it_lies(tmp_path, form):
    (tmp_path / "my cars.csv").write_bytes(CSV)
    assert fetch(form.format(tmp_path / "my cars.csv"), tmp_path / "x") == tmp_path / "my cars.csv"
    assert not (tmp_path / "x").exists()


def test_a_uri_may_be_percent_encoded(tmp_path):
    (tmp_path / "my cars.csv").write_bytes(CSV)
    assert fetch((tmp_path / "my cars.csv").as_uri(), tmp_path) == tmp_path / "my cars.csv"


def test_a_relative_path_starts_at_the_root_of_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fetch("src/_utils/tabular/fetch.py", tmp_path) == ROOT / "src/_utils/tabular/fetch.py"


@pytest.mark.parametrize("name", ["cars.csv", "cars.csv?raw=a/b.csv", "endless.csv", "packed.csv"])
def test_a_web_address_is_downloaded_under_its_own_name(server, tmp_path, capfd, name):
    path = fetch(f"http://{server}/{name}", tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / name.partition("?")[0]
    assert path.read_bytes() == CSV
    assert capfd.readouterr() == ("", "")


def test_user_and_password_of_an_address_are_used(server, tmp_path):
    assert fetch(f"http://user:pass@{server}/secret.csv", tmp_path).read_bytes() == CSV


@pytest.mark.slow
def test_an_object_of_s3_is_downloaded(bucket, tmp_path):
    path = fetch(f"{bucket}/year/cars.csv", tmp_path)
    assert (path, path.read_bytes()) == (tmp_path / "cars.csv", CSV)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["missing.csv", "year"])
def test_what_is_no_object_of_s3_is_refused(bucket, tmp_path, name):
    assert f"{bucket}/{name}: not found" in refusal(f"{bucket}/{name}", tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.csv", "not found (404)"),
        ("secret.csv", "HTTP 401"),
        ("broken.csv", "HTTP 500"),
        ("cut.csv", "download failed"),
        ("empty.csv", "is empty (0 bytes)"),
    ],
)
def test_a_failed_download_says_why_and_keeps_secrets(server, tmp_path, name, told):
    message = refusal(f"http://me:hidden@{server}/{name}?sig=hidden", tmp_path)
    assert message.startswith(f"http://***@{server}/{name}?***")
    assert told in message
    assert "hidden" not in message


def test_secrets_are_kept_even_if_the_cause_tells_them(tmp_path):
    message = refusal("http://?sig=hidden", tmp_path)
    assert "InvalidUrlClientError: http://" in message
    assert "hidden" not in message


def test_a_server_that_is_down_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        assert f"connect to host {address}" in refusal(f"http://{address}/cars.csv", tmp_path)


def test_a_download_shorter_than_announced_is_refused(tmp_path, monkeypatch):
    MemoryFileSystem().pipe("/cars.csv", CSV)
    monkeypatch.setattr(MemoryFile, "size", len(CSV) + 1)
    assert "cut after 4004 of 4005 bytes" in refusal("memory://cars.csv", tmp_path)


def test_an_unknown_protocol_is_refused(tmp_path):
    assert "Protocol not known: htp" in refusal("htp://x/cars.csv", tmp_path)


def test_the_package_that_a_protocol_needs_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    message = refusal("gs://bucket/cars.csv", tmp_path)
    assert "gcsfs" in message
    assert "conda.yml" in message


def test_a_missing_local_file_is_named_in_full(tmp_path):
    assert f"{ROOT / 'data' / 'no.csv'}: there is no such file" in refusal("data/no.csv", tmp_path)


def test_a_windows_path_is_no_url(tmp_path):
    assert "there is no such file" in refusal(r"C:\data\x.csv", tmp_path)


def test_a_folder_is_refused(tmp_path):
    assert f"{tmp_path} is a folder" in refusal(str(tmp_path), tmp_path)


def test_an_empty_local_file_is_refused(tmp_path):
    (tmp_path / "x.csv").touch()
    with pytest.raises(UserError, match=r"x\.csv is empty \(0 bytes\)"):
        fetch(str(tmp_path / "x.csv"), tmp_path)
