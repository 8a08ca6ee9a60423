"""Limits for clients: by which host names they may ask, and how slow they may be."""

import asyncio

import h11
import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

# Names of this machine. A web page that reaches it by a name of its own (DNS rebinding) is refused
HOSTS = ["localhost", "127.0.0.1", "[::1]"]
DRAIN_SECONDS = 2  # at the end, for requests that are being answered
TRANSFER_SECONDS = 20.0  # for a client to send a request, and to take what was sent of an answer


def server_config(app: ASGIApp) -> uvicorn.Config:
    """The settings with which uvicorn serves an app within these limits."""
    return uvicorn.Config(
        TrustedHostMiddleware(app, HOSTS, www_redirect=False),
        http=Impatient,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


class Impatient(H11Protocol):
    """Uvicorn's protocol, which disconnects a client that is slower than TRANSFER_SECONDS.

    Uvicorn itself has a time limit only between two requests. Its protocol's `conn` and
    `transport` are not documented.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit for the first request."""
        super().connection_made(transport)
        self._wait(True)

    def data_received(self, data: bytes) -> None:
        """Go on with the time limit if the request is not complete, else end it."""
        super().data_received(data)
        self._wait(self.conn.their_state in (h11.IDLE, h11.SEND_BODY))

    def pause_writing(self) -> None:
        """Start the time limit for the client to take what was sent."""
        super().pause_writing()
        self._wait(True)

    def resume_writing(self) -> None:
        """End it, for the client has taken enough."""
        super().resume_writing()
        self._wait(False)

    def _wait(self, waits: bool) -> None:
        if waits and not self._deadline:
            self._deadline = self.loop.call_later(TRANSFER_SECONDS, self.transport.abort)
        elif self._deadline and not waits:
            self._deadline.cancel()
            self._deadline = None
