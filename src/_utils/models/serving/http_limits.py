"""What a client may ask of a server: by which name, how large a request, and in what time."""

import asyncio

import h11
import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

# Names of this machine. A web page whose own name leads here (DNS rebinding) has another one.
HOSTS = ["localhost", "127.0.0.1", "[::1]"]
DRAIN_SECONDS = 2  # at the end, for requests that are being answered
TRANSFER_SECONDS = 20.0  # for a request to come, and for what is sent of an answer to be taken


def server_config(app: ASGIApp, max_bytes: int) -> uvicorn.Config:
    """How uvicorn serves an app within these limits.

    Args:
        app: What answers.
        max_bytes: How large a body may be, in bytes.
    """
    return uvicorn.Config(
        TrustedHostMiddleware(limit_body(app, max_bytes), HOSTS, www_redirect=False),
        http=Impatient,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


class Impatient(H11Protocol):
    """Uvicorn's protocol, and a client that is slower than TRANSFER_SECONDS is disconnected.

    Uvicorn itself has a time limit only between two requests. Its protocol's `conn` and
    `transport` are not documented.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on if that was not all of the request."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._wait()
        else:
            self._wait_no_more()

    def pause_writing(self) -> None:
        """Wait until the client takes what was sent."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """The client has taken it."""
        super().resume_writing()
        self._wait_no_more()

    def connection_lost(self, error: Exception | None) -> None:
        """There is nobody to wait for."""
        super().connection_lost(error)
        self._wait_no_more()

    def _wait(self) -> None:
        if not self._deadline:
            self._deadline = self.loop.call_later(TRANSFER_SECONDS, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = None


def refusal(status: int, message: str) -> JSONResponse:
    """An answer of the form that MLflow gives its own errors."""
    return JSONResponse({"error_code": "BAD_REQUEST", "message": message}, status)


def limit_body(app: ASGIApp, max_bytes: int) -> ASGIApp:
    """Refuse requests with a larger body, also where none says beforehand how large it is.

    The app gets a body whole, in one message. Of one that is too large no more is kept than this.
    (Starlette's own middleware says less, and is not there under Python 3.10.)

    Args:
        app: What answers the others.
        max_bytes: How large a body may be, in bytes.
    """
    too_large = refusal(413, f"The body has more than {max_bytes} bytes: send fewer rows at once.")

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if int(said) > max_bytes:
            return await too_large(scope, receive, send)
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > max_bytes:
                return await too_large(scope, receive, send)
        return await app(scope, whole(bytes(body), receive), send)

    return limited


def whole(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body in one message, and then what else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_whole() -> Message:
        return messages.pop() if messages else await receive()

    return receive_whole
