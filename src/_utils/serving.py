"""Serving a registered model's champion with MLflow's scoring server, and going over to the next.

For each version MLflow makes an app of its own; what is here stands before it: which of them
answers, how large a request may be, and what is told where MLflow has only "Internal Server Error".
"""

import json
import logging
import re
import threading
from typing import Any

import mlflow
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PyFuncModel, scoring_server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from _utils.errors import UserError
from _utils.registry import CHAMPION, SCHEME, fetch_model, model_in_use

VERSION_HEADER = "x-model-version"
# What MLflow's parsing of a request raises besides its own exceptions
UNREADABLE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)

log = logging.getLogger(__name__)


class Champion:
    """An ASGI app: the scoring server of the version that is the champion, as of the last look.

    A request stays with the version that it came to; so a switch drops none.
    """

    def __init__(self, name: str):
        """Load the champion.

        Args:
            name: Of the model in the registry.

        Raises:
            UserError: There is no champion.
        """
        self.uri = f"{SCHEME}{name}@{CHAMPION}"
        self.example = ""  # a request, as JSON
        self._told = ""
        self._load(model_in_use(self.uri))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the version in use answer, and say which one it is."""
        version, app = self._serving

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = (VERSION_HEADER.encode(), version.encode())
                message["headers"] = [*message.get("headers", []), header]
            await send(message)

        await app(scope, receive, send_with_version)

    @property
    def version(self) -> str:
        """The number of the version that answers now."""
        return self._serving[0]

    def follow(self) -> None:
        """Go over to the champion if it is another one by now; what keeps it from that is logged.

        The version in use serves on until the new one is loaded and has answered once, and if that
        or the registry fails.
        """
        before = self.version
        try:
            found = model_in_use(self.uri)
            if str(found.version) != before:
                self._load(found)
                log.info("Version %s serves now, in the place of %s", found.version, before)
            self._told = ""
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            told = re.sub(r"model-\w+", "model", f"{kind}{error}")  # a new copy at each look
            if told != self._told:  # once, and not at every look
                log.error("Version %s serves on, for the champion cannot: %s", before, told)
            self._told = told

    def keep_following(self, seconds: float, stop: threading.Event) -> None:
        """Follow at this interval until `stop` is set."""
        while not stop.wait(seconds):
            self.follow()

    def _load(self, version: ModelVersion) -> None:
        model = mlflow.pyfunc.load_model(str(fetch_model(version)))
        if (rows := model.input_example) is not None:
            model.predict(rows)  # one that cannot answer is not gone over to; the first is slow
            row = rows.head(1).to_json(orient="records")
            self.example = json.dumps({"dataframe_records": json.loads(row)})
        self._serving = str(version.version), scoring_app(model)


class Explaining:
    """A model as MLflow's scoring server wants it, which says why it has no answer.

    MLflow itself says "unexpected error", with a traceback of this server's code.
    """

    def __init__(self, model: PyFuncModel):
        self.model, self.metadata = model, model.metadata

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """As the model; an exception becomes one of MLflow's, which is told."""
        try:
            return self.model.predict(data, params=params)
        except MlflowException:
            raise
        except Exception as error:
            told = f"The model refuses this: {type(error).__name__}: {error}"
            raise MlflowException(told, error_code=BAD_REQUEST) from error


def scoring_app(model: PyFuncModel) -> FastAPI:
    """MLflow's scoring server of a model, with a useful answer to whatever it is sent."""
    app = scoring_server.init(Explaining(model))  # type: ignore[arg-type]
    for kind in UNREADABLE:
        app.add_exception_handler(kind, _refuse_unreadable)
    return app


async def _refuse_unreadable(request: Request, error: Exception) -> JSONResponse:
    if "content-type" not in request.headers:
        known = ", ".join(scoring_server.CONTENT_TYPES)
        return refusal(415, f"The request has no Content-Type: send one of {known}.")
    return refusal(400, f"The request cannot be read: {type(error).__name__}: {error}")


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
        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        return await app(scope, receive_whole, send)

    return limited
