"""Serve the champion with MLflow's scoring server, and switch when another version is promoted.

MLflow makes an app for each version. This module chooses the version that answers, checks requests
before the app reads them, and explains what MLflow calls "Internal Server Error".
"""

import asyncio
import io
import json
import logging
import re
import shutil
import tempfile
import threading
import weakref
from typing import Any

import pandas as pd
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from _utils import internals
from _utils.errors import UserError
from _utils.models.registry import CHAMPION, SCHEME, fetch_model, model_in_use
from _utils.models.serving.probabilities import load
from _utils.models.serving.scoring_request import fault_of, read_request

VERSION_HEADER = "x-model-version"
# What parsing a request raises, MLflow's parsing besides its own exceptions
UNREADABLE = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)

log = logging.getLogger(__name__)


class Champion:
    """An ASGI app: the scoring server of the champion, as of the last look at the registry.

    A request stays with the version that it came to; so a switch drops none.
    """

    def __init__(self, name: str, max_bytes: int, probabilities: bool = False):
        """Load the champion.

        Args:
            name: The model's, in the registry.
            max_bytes: How large the body of a request may be, in bytes.
            probabilities: Whether an answer has the probability of each class, by its name, in the
                place of the label.

        Raises:
            UserError: There is no champion.
        """
        self.uri, self.max_bytes = f"{SCHEME}{name}@{CHAMPION}", max_bytes
        self.probabilities = probabilities
        self.example = ""  # a request, as JSON
        self._last_message = ""
        self._load(model_in_use(self.uri))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the version in use answer."""
        await self._app(scope, receive, send)

    def follow(self) -> None:
        """Switch to the champion if that is another version now; log the reason if this fails.

        The version in use serves on until the new one is loaded and has answered once, and also if
        loading it or asking the registry fails.
        """
        try:
            champion, before = model_in_use(self.uri), self.version
            if str(champion.version) != before:
                self._load(champion)
                log.info("Version %s serves now, in the place of %s", champion.version, before)
            self._last_message = ""
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            message = re.sub(r"model-\w+", "model", f"{kind}{error}")  # a new copy at each look
            if message != self._last_message:  # once, and not at every look
                log.error("Version %s serves on, the champion cannot: %s", self.version, message)
            self._last_message = message

    def keep_following(self, seconds: float, stop: threading.Event) -> None:
        """Follow at this interval until `stop` is set."""
        while not stop.wait(seconds):
            self.follow()

    def _load(self, version: ModelVersion) -> None:
        folder = tempfile.mkdtemp(prefix="model-")
        try:
            model, classes = load(fetch_model(version, folder), self.probabilities)
            if (rows := model.input_example) is not None:
                model.predict(rows)  # it has to answer before it serves; the first answer is slow
                row = rows.head(1).to_json(orient="records")
                self.example = json.dumps({"dataframe_records": json.loads(row)})
            self._app = scoring_app(model, str(version.version), self.max_bytes, classes)
            self.version = str(version.version)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # A model may read its files as long as a request is with it
        weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)


class Explaining:
    """A model for MLflow's scoring server whose errors say what is wrong, and whose fault it is.

    MLflow itself says "unexpected error", with a traceback of this server's code, and blames the
    client.
    """

    def __init__(self, model: PyFuncModel, classes: list[str] | None = None):
        self.model, self.metadata, self.classes = model, model.metadata, classes

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """As the model; an exception becomes one of MLflow's, whose message the client gets."""
        try:
            predictions = self.model.predict(data, params=params)
            if self.classes:
                predictions = pd.DataFrame(predictions, columns=self.classes)
            internals.scoring_server().predictions_to_json(predictions, io.StringIO())
            return predictions
        except MlflowException:
            raise
        except (Exception, SystemExit) as error:  # SystemExit would end the server
            reason = f"{type(error).__name__}: {error}"
            if fault := fault_of(data, self.metadata.get_input_schema()):
                message = f"The model refuses this: {fault} ({reason})"
                raise MlflowException.invalid_parameter_value(message) from error
            log.exception("The model has failed")
            raise MlflowException(f"The model has failed: {reason}") from error


def scoring_app(
    model: PyFuncModel, version: str, max_bytes: int, classes: list[str] | None = None
) -> ASGIApp:
    """MLflow's scoring server of a model, with a useful answer to whatever it is sent.

    Args:
        model: The model.
        version: The number that each answer has as a header.
        max_bytes: How large the body of a request may be; no more of a larger one is kept.
        classes: The names of the columns that the model predicts, for probabilities.
    """
    # FastAPI never lets go of what it calls; so that a model can go, only `checking` holds it
    app = internals.scoring_server().init(Explaining(weakref.proxy(model), classes))
    for kind in UNREADABLE:
        app.add_exception_handler(kind, _refuse_unreadable)

    async def checking(scope: Scope, receive: Receive, send_plain: Send) -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[VERSION_HEADER] = version
            await send_plain(message)

        request, answer = Request(scope, receive), app
        try:
            if request.method == "POST":
                receive = await _checked(request, model.metadata.get_input_schema(), max_bytes)
        except ClientDisconnect:
            return
        except HTTPException as refusal:
            answer = _refusal(refusal.status_code, refusal.detail)
        except UNREADABLE as error:
            answer = _refuse_unreadable(request, error)
        await answer(scope, receive, send)

    return checking


async def _checked(request: Request, schema: Schema | None, max_bytes: int) -> Receive:
    """Check the body of a request; returns what gives it to MLflow, with its new Content-Type."""
    headers, body = MutableHeaders(scope=request.scope), b""
    if "content-type" not in headers:
        kinds = ", ".join(internals.scoring_server().CONTENT_TYPES)
        raise HTTPException(415, f"The request has no Content-Type: send one of {kinds}.")
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            message = f"The body has more than {max_bytes} bytes: send fewer rows at once."
            raise HTTPException(413, message)
    kind, semicolon, parameters = headers["content-type"].partition(";")
    body, kind = await asyncio.to_thread(read_request, body, kind.strip(), schema)
    headers["content-type"] = kind + semicolon + parameters
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return receive


def _refuse_unreadable(request: Request, error: Exception) -> JSONResponse:
    return _refusal(400, f"The request cannot be read: {type(error).__name__}: {error}")


def _refusal(status: int, message: str) -> JSONResponse:
    """An answer of the form that MLflow gives its own errors."""
    return JSONResponse({"error_code": "BAD_REQUEST", "message": message}, status)
