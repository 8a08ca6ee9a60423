"""Serve the champion over MLflow's scoring protocol, and switch when another is promoted."""

import argparse
import errno
import logging
import signal
import socket
import sys
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # src/, where _utils lies

import uvicorn

from _utils.command_line import as_line
from _utils.component import launch
from _utils.errors import UserError
from _utils.models.serving import Champion
from _utils.models.serving.http_limits import server_config

HOST = "127.0.0.1"


def go(args: argparse.Namespace) -> None:
    """Take the port, load the champion, answer until Ctrl-C or SIGTERM."""
    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(message)s")
    logging.getLogger("_utils.models.serving").setLevel(logging.INFO)
    # A line for each bad request would fill the log; who sent it is told.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same end as Ctrl-C's
    listener = take_port(args.port)
    champion, stop = Champion(args.registered_model), threading.Event()
    tell(champion, args)
    follow = threading.Thread(
        target=champion.keep_following, args=(args.poll_seconds, stop), daemon=True
    )
    follow.start()
    try:
        uvicorn.Server(server_config(champion, args.max_body_bytes)).run(sockets=[listener])
    finally:
        stop.set()


def take_port(port: int) -> socket.socket:
    """Listen there; requests that come before the model is loaded wait.

    Raises:
        UserError: Another program has the port, or there is none such.
    """
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        reason = "another program has it" if taken else error
        raise UserError(
            f"Port {port} of {HOST} cannot be served on: {reason}. "
            "Choose one: mlflow run . -e serve -P port=<number>."
        ) from error


def tell(champion: Champion, args: argparse.Namespace) -> None:
    """Say where it serves, and what a request looks like."""
    url = f"http://{HOST}:{args.port}"
    print(f"Version {champion.version} of {args.registered_model} serves on {url}; {url}/docs")
    if champion.example:
        header = "Content-Type: application/json"
        words = ["curl", f"{url}/invocations", "-H", header, "-d", champion.example]
        print(f"An example request:\n{as_line(words)}")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    launch(go)
