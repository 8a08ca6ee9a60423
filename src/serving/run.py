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
    """Open the port, load the champion, answer requests until Ctrl-C or SIGTERM."""
    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(message)s")
    logging.getLogger("_utils.models.serving").setLevel(logging.INFO)
    # A line for each bad request would fill the log; the client gets the message
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same as Ctrl-C
    listener = open_port(args.port)
    stop = threading.Event()
    champion = Champion(args.registered_model, args.max_body_bytes, args.probabilities)
    print_usage(champion, args)
    follow = threading.Thread(
        target=champion.keep_following, args=(args.poll_seconds, stop), daemon=True
    )
    follow.start()
    try:
        uvicorn.Server(server_config(champion)).run(sockets=[listener])
    finally:
        stop.set()


def open_port(port: int) -> socket.socket:
    """Listen on the port. Requests wait there until the model is loaded.

    Raises:
        UserError: Another program uses the port, or its number is invalid.
    """
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        reason = "another program uses it" if taken else error
        raise UserError(
            f"Port {port} of {HOST} cannot be opened ({reason}). "
            "Choose another one: mlflow run . -e serve -P port=<number>."
        ) from error


def print_usage(champion: Champion, args: argparse.Namespace) -> None:
    """Print the address, and an example of a request."""
    url = f"http://{HOST}:{args.port}"
    print(f"Version {champion.version} of {args.registered_model} serves on {url}; {url}/docs")
    if champion.example:
        header = "Content-Type: application/json"
        words = ["curl", f"{url}/invocations", "-H", header, "-d", champion.example]
        print(f"An example request:\n{as_line(words)}")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    launch(go)
