"""Serving a registered model's champion with MLflow's scoring server, and going over to the next.

For each version MLflow makes an app of its own; what is here stands before it: which of them
answers, what it is given, and what is told where MLflow has only "Internal Server Error".
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

import mlflow
from fastapi import Request
from fastapi.responses import JSONResponse
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR
from mlflow.pyfunc import PyFuncModel, scoring_server
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from _utils.errors import UserError
from _utils.models.registry import CHAMPION, SCHEME, fetch_model, model_in_use
from _utils.models.serving.http_limits import refusal, whole
from _utils.models.serving.scoring_request import fault_of, read_request

VERSION_HEADER = "x-model-version"
# What parsing a request raises, MLflow's besides its own exceptions
UNREADABLE = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)

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
        folder = tempfile.mkdtemp(prefix="model-")
        try:
            model = mlflow.pyfunc.load_model(str(fetch_model(version, folder)))
            if (rows := model.input_example) is not None:
                model.predict(rows)  # one that cannot answer is not gone over to; the first is slow
                row = rows.head(1).to_json(orient="records")
                self.example = json.dumps({"dataframe_records": json.loads(row)})
            self._serving = str(version.version), scoring_app(model)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # A model may read its files as long as a request is with it
        weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)


class Explaining:
    """A model as MLflow's scoring server wants it, which says why it has no answer.

    MLflow itself says "unexpected error", with a traceback of this server's code, and blames the
    client.
    """

    def __init__(self, model: PyFuncModel):
        self.model, self.metadata = model, model.metadata

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """As the model; an exception becomes one of MLflow's, which is told."""
        try:
            predictions = self.model.predict(data, params=params)
            scoring_server.predictions_to_json(predictions, io.StringIO())
            return predictions
        except MlflowException:
            raise
        except (Exception, SystemExit) as error:  # which would end the server
            reason = f"{type(error).__name__}: {error}"
            if fault := fault_of(data, self.metadata.get_input_schema()):
                message = f"The model refuses this: {fault} ({reason})"
                raise MlflowException(message, error_code=BAD_REQUEST) from error
            log.exception("The model has failed")
            raise MlflowException(f"The model has failed: {reason}", INTERNAL_ERROR) from error


def scoring_app(model: PyFuncModel) -> ASGIApp:
    """MLflow's scoring server of a model, with a useful answer to whatever it is sent."""
    # FastAPI never lets go of what it calls; so that a model can go, only `reading` holds it
    app = scoring_server.init(Explaining(weakref.proxy(model)))  # type: ignore[arg-type]
    for kind in UNREADABLE:
        app.add_exception_handler(kind, _refuse_unreadable)

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await app(scope, receive, send)
        request, headers = Request(scope, receive), MutableHeaders(scope=scope)
        body, content_type = await request.body(), headers.get("content-type", "")
        kind, *parameters = content_type.split(";")
        schema = model.metadata.get_input_schema()
        try:
            body, kind = await asyncio.to_thread(read_request, body, kind.strip(), schema)
        except UNREADABLE as error:
            return await (await _refuse_unreadable(request, error))(scope, receive, send)
        if content_type:
            headers["content-type"] = ";".join([kind, *parameters])
        return await app(scope, whole(body, receive), send)

    return reading


async def _refuse_unreadable(request: Request, error: Exception) -> JSONResponse:
    if "content-type" not in request.headers:
        known = ", ".join(scoring_server.CONTENT_TYPES)
        return refusal(415, f"The request has no Content-Type: send one of {known}.")
    return refusal(400, f"The request cannot be read: {type(error).__name__}: {error}")
