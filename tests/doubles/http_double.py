"""What doubles of HTTP services share."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HttpDouble:
    """Serves on loopback until it is stopped; `unknown` is what it was asked and does not know."""

    def __init__(self):
        self.unknown = []
        handler = type("Bound", (Handler,), {"service": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the service's `answer(handler, method, path, body)`."""

    protocol_version = "HTTP/1.1"

    def handle_request(self):
        path, _, self.query = self.path.partition("?")
        answered = self.service.answer(self, self.command, path, self.body())
        if answered is None:
            self.service.unknown.append(f"{self.command} {self.path}")
            answered = 404, {"message": "unknown to the double"}
        if answered != "sent":
            self.send(*answered)

    do_GET = do_HEAD = do_POST = do_DELETE = handle_request

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def send(self, status: int, *lines: dict, **headers: str) -> None:
        """Answer with one object, or with several as a stream."""
        content = b"\n".join(json.dumps(line).encode() for line in lines)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass
