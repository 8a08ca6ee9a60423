"""The tracking server that a pipeline and its components talk to, for the time of the pipeline."""

import logging
import os
import secrets
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from _utils.command_line import as_line
from _utils.environment import told
from _utils.errors import UserError
from _utils.masking import SERVED

# How a server of the user's own is protected; ours answers on this machine only
OF_OTHER_SERVERS = (
    "MLFLOW_SERVER_ALLOWED_HOSTS",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
)


@cache
def serve_tracking_store() -> str:
    """Let this process and its components talk to the tracking database through one server.

    Opening the database costs each process most of a second, for the libraries it takes; asking a
    server costs nothing of the kind. It listens on 127.0.0.1 only and ends with this process. Other
    users of the machine, and web pages in a browser, reach it too, so it answers only below a path
    that nobody can guess. A password would not do: the client sends MLFLOW_TRACKING_USERNAME, a
    credentials file or a netrc in its place, and it to every other server.
    Where MLFLOW_TRACKING_URI names something else than a database, that is used as it is.

    Returns:
        What MLFLOW_TRACKING_URI names, with the whole path.
    """
    uri = mlflow.get_tracking_uri()
    if not uri.startswith(tuple(DATABASE_ENGINES)):
        return uri
    # What MLflow's server imports, some of it only when it is asked something.
    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")
    # At each search for runs MLflow tries to import what knows its users, which are none here. Most
    # of its dependencies are there, and take a second, but not the last: it fails, again and again.
    sys.modules["mlflow.server.auth"] = None
    for variable in OF_OTHER_SERVERS:
        os.environ.pop(variable, None)
    from mlflow.server import app, handlers
    from mlflow.server.security import init_security_middleware
    from werkzeug.exceptions import Unauthorized
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.serving import make_server

    url = make_url(uri)
    folder = Path.cwd()
    lock: AbstractContextManager = nullcontext()
    if url.drivername.startswith("sqlite"):
        database = Path(url.database).absolute()
        # Not by hand: in a URI some characters that a folder's name may have are written otherwise
        uri = url.set(database=database.as_posix()).render_as_string(hide_password=False)
        folder = database.parent
        lock = FileLock(f"{database}.lock")  # two that make the same file at once would fail
    with lock, database_faults(uri):
        handlers.initialize_backend_stores(uri, uri, (folder / "mlruns").as_uri())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    init_security_middleware(app)
    path = f"/{secrets.token_urlsafe()}"
    guarded = DispatcherMiddleware(Unauthorized(), {path: app})
    server = make_server("127.0.0.1", 0, guarded, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for variable in ("NO_PROXY", "no_proxy"):  # a proxy cannot reach this server
        os.environ[variable] = ",".join(filter(None, [os.environ.get(variable), "127.0.0.1"]))
    os.environ[SERVED] = url.drivername
    os.environ.setdefault("MLFLOW_UI", "http://127.0.0.1:5000")  # of `mlflow ui`, once this ends
    # Else MLflow prints addresses that are a secret now, and lead nowhere afterwards
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    mlflow.set_tracking_uri(f"http://127.0.0.1:{server.server_port}{path}")
    mlflow.set_registry_uri(mlflow.get_tracking_uri())  # initializing has set it to the database
    return uri


def check_server(wanted: str) -> None:
    """Refuse a tracking store that is no server.

    Raises:
        UserError: The store is a file or a database; the message says that `wanted` needs more.
    """
    scheme = told(SERVED) or mlflow.get_tracking_uri().partition(":")[0]
    if scheme not in ("http", "https", "databricks"):
        raise UserError(
            f"{wanted} runs on machines that cannot reach the tracking store ({scheme}:...) of "
            "this one: start `mlflow server` with a PostgreSQL database and set "
            "MLFLOW_TRACKING_URI=http://<host>:<port>; see 'A tracking server' in MLpipeline.md."
        )


@contextmanager
def database_faults(uri: str) -> Iterator[None]:
    """Say in a line or two why a tracking database cannot be opened, and what to do.

    Raises:
        UserError: Another version of MLflow made it, it is no database, or it does not answer.
    """
    try:
        yield
    except MlflowException as error:
        if "database schema" not in error.message:
            raise
        shown = str(make_url(uri))  # without its password
        raise UserError(
            f"Another version of MLflow made the database {shown}. Make a copy of it, then run "
            f"`{as_line(['mlflow', 'db', 'upgrade', shown])}`. If that fails, the version is newer "
            f"than {mlflow.__version__}: install it, or name another store, MLFLOW_TRACKING_URI=..."
        ) from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise UserError(
            f"The database {make_url(uri)} cannot be opened: {reason}. Correct that, or set "
            "MLFLOW_TRACKING_URI to another one."
        ) from error
