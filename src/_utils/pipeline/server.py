"""The tracking store: what is wrong with it, and the server through which a pipeline uses it."""

import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from _utils.artifacts.stores import choose_store
from _utils.environment import tell, told
from _utils.errors import UserError
from _utils.internals import tracking_app
from _utils.masking import SERVED
from _utils.pipeline.report import console

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # those that MLflow takes


def check_machine(main: DictConfig) -> None:
    """Look for what keeps any pipeline with this section `main` from working here.

    Raises:
        UserError: One line for each fault, with its cure.
    """
    if not shutil.which("git"):
        note = "git is not on the PATH, so runs are recorded without the commit of their code."
        console.print(note, style="dim")
    faults, uri = [], mlflow.get_tracking_uri()
    if uri.startswith("file:") or "://" not in uri:
        faults.append(
            f"{uri} holds runs in files, as MLflow had them before version 3: move the folder "
            "away, or convert it with `mlflow migrate-filestore`; or use another store, "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db."
        )
    if database := sqlite_file():
        if not database.parent.is_dir():
            faults.append(f"{database.parent}, for the tracking store, is not a folder: create it.")
        places = [database.parent, database, database.parent / "mlruns"]
        for path in (each for each in places if each.exists() and not os.access(each, os.W_OK)):
            faults.append(
                f"{path} is not writable: correct its owner and permissions, or use another "
                "store, MLFLOW_TRACKING_URI=sqlite:////<folder>/mlflow.db."
            )
    if faults := faults + choose_store(main):
        raise UserError("\n".join(faults))


def sqlite_file() -> Path | None:
    """The file of the tracking store, if that is a SQLite database."""
    uri = mlflow.get_tracking_uri()
    return Path(make_url(uri).database).absolute() if uri.startswith("sqlite") else None


@cache
def open_tracking_store() -> str:
    """Let this process talk to the tracking database itself, for a server takes a second to start.

    A new SQLite file is served at once: the server gives its first experiment an absolute folder.
    A MLFLOW_TRACKING_URI that is no database is used as it is.

    Returns:
        MLFLOW_TRACKING_URI, with the absolute path of a SQLite file.
    """
    uri = mlflow.get_tracking_uri()
    if not uri.startswith(DATABASES):
        return uri
    if database := sqlite_file():
        # SQLAlchemy escapes what a folder's name may have and a URI may not
        url = make_url(uri).set(database=database.as_posix())
        uri = url.render_as_string(hide_password=False).replace("%3A", ":")  # of a drive
        mlflow.set_tracking_uri(uri)
    _tell_of_server(uri)
    if database and not database.exists():
        serve_tracking_store()
    else:
        with database_faults(uri):
            MlflowClient().search_experiments(max_results=1)
    return uri


@cache
def serve_tracking_store() -> None:
    """Let components talk to the tracking database through one server; main.py itself needs none.

    Opening the database costs each process most of a second, for the libraries it takes; asking a
    server does not. The server listens on 127.0.0.1 and ends with this process. Other users of the
    machine, and web pages in a browser, reach it too, so it answers only below a path that nobody
    can guess. (Instead of a password the client may send MLFLOW_TRACKING_USERNAME, a credentials
    file or a netrc.)
    """
    uri, database = mlflow.get_tracking_uri(), sqlite_file()
    if not uri.startswith(DATABASES):
        return
    _tell_of_server(uri)
    folder = database.parent if database else Path.cwd()
    # Two processes that create one file at once would fail
    lock = FileLock(f"{database}.lock") if database else nullcontext()
    with lock, database_faults(uri):
        app = tracking_app(uri, (folder / "mlruns").as_uri())
    tell("MLFLOW_TRACKING_URI", address := _start(app))
    tell("MLFLOW_REGISTRY_URI", address)  # MLflow's app has set it to the database


@cache
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


def _start(app: Any) -> str:
    """Serve a Flask app below a secret path, in a thread; returns its address."""
    from werkzeug.exceptions import Unauthorized  # late, for the time it takes
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    path = f"/{secrets.token_urlsafe()}"
    guarded = DispatcherMiddleware(Unauthorized(), {path: app})
    server = make_server("127.0.0.1", 0, guarded, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}{path}"


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
