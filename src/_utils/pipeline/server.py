"""The tracking server that a pipeline and its components talk to, for the time of the pipeline."""

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from _utils.environment import tell, told
from _utils.errors import UserError
from _utils.internals import database_schemes, tracking_app
from _utils.masking import SERVED


@cache
def open_tracking_store() -> str:
    """Let this process talk to the tracking database itself, for a server takes a second to start.

    A new SQLite file is served at once: the server gives its first experiment an absolute folder.
    A MLFLOW_TRACKING_URI that is no database is used as it is.

    Returns:
        MLFLOW_TRACKING_URI, with the absolute path of a SQLite file.
    """
    uri = mlflow.get_tracking_uri()
    if not uri.startswith(database_schemes()):
        return uri
    database = file_of(uri)
    if database:
        # SQLAlchemy escapes what a folder's name may have and a URI may not
        url = make_url(uri).set(database=database.as_posix())
        uri = url.render_as_string(hide_password=False)
        mlflow.set_tracking_uri(uri)
    _tell_of_server(uri)
    if database and not database.exists():
        serve_tracking_store()
    else:
        with database_faults(uri):
            MlflowClient().search_experiments(max_results=1)
    return uri


def file_of(uri: str) -> Path | None:
    """The file of a SQLite database; None for another database."""
    return Path(make_url(uri).database).absolute() if uri.startswith("sqlite") else None


@cache
def serve_tracking_store() -> None:
    """Let this process and its components talk to the tracking database through one server.

    Opening the database costs each process most of a second, for the libraries it takes; asking a
    server does not. The server listens on 127.0.0.1 and ends with this process. Other users of the
    machine, and web pages in a browser, reach it too, so it answers only below a path that nobody
    can guess. (Instead of a password the client may send MLFLOW_TRACKING_USERNAME, a credentials
    file or a netrc.)
    """
    uri = mlflow.get_tracking_uri()
    if not uri.startswith(database_schemes()):
        return
    database = file_of(uri)
    # Two processes that create one file at once would fail
    lock = FileLock(f"{database}.lock") if database else nullcontext()
    with lock, database_faults(uri):
        app = tracking_app(uri, ((database or Path("file")).absolute().parent / "mlruns").as_uri())
    from werkzeug.exceptions import Unauthorized  # late, for the time it takes
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    path = f"/{secrets.token_urlsafe()}"
    guarded = DispatcherMiddleware(Unauthorized(), {path: app})
    server = make_server("127.0.0.1", 0, guarded, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mlflow.set_tracking_uri(f"http://127.0.0.1:{server.server_port}{path}")
    mlflow.set_registry_uri(mlflow.get_tracking_uri())  # tracking_app has set it to the database


def _tell_of_server(uri: str) -> None:
    """Set what components have to know of a server that may be started for this database."""
    # How a server of the user's own is protected
    tell("MLFLOW_SERVER_ALLOWED_HOSTS", None)
    tell("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", None)
    tell("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", None)
    for name in ("NO_PROXY", "no_proxy"):  # a proxy cannot reach this server
        tell(name, ",".join(filter(None, [told(name), "127.0.0.1"])))
    tell(SERVED, make_url(uri).drivername)
    tell("MLFLOW_UI", "http://127.0.0.1:5000", unless_set=True)  # of `mlflow ui`, afterwards
    # Else MLflow prints addresses that hold the secret path and end with this process
    tell("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


@contextmanager
def database_faults(uri: str) -> Iterator[None]:
    """Say why a tracking database cannot be opened, and what to do.

    Raises:
        UserError: Another version of MLflow made it, it is no database, or it does not answer.
    """
    shown = str(make_url(uri))  # without its password
    try:
        yield
    except MlflowException as error:  # the message has the command of the upgrade
        if "database schema" not in error.message:
            raise
        raise UserError(error.message.replace("<database_uri>", shown)) from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise UserError(
            f"The database {shown} cannot be opened: {reason}. Correct that, or set "
            "MLFLOW_TRACKING_URI to another database."
        ) from error
