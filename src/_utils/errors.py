"""Errors that the user can mend are told as a plain message, the others with their traceback."""

import errno
import re
import traceback

from requests.exceptions import ConnectionError as NoConnection

CURES = {
    errno.ENOSPC: "Free some space there",
    errno.EDQUOT: "Free some space there",
    errno.EACCES: "Make it writable",
    errno.EPERM: "Make it writable",
    errno.EROFS: "Make it writable",
}
# What MLflow says where it is given a URI models:/... that names nothing
NO_MODEL = re.compile(r"^(\w+: )?Registered [Mm]odel (alias|with name)\b.* not found\.?$")


class UserError(Exception):
    """A fault that the user can mend: the message has the wrong value, what is wrong, the cure."""


def explain(error: BaseException) -> str:
    """What to tell the user about an error."""
    if isinstance(error, UserError):
        return str(error)
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, KeyboardInterrupt):
            return "Interrupted."
        if isinstance(cause, OSError) and cause.errno in CURES:
            return f"{cause}. {CURES[cause.errno]}, then run the same command again."
        if NO_MODEL.search(str(cause)):
            return (
                f"{cause} Let a version be the champion: mlflow run . -e promote -P "
                "version=<number>; or make the first: mlflow run ."
            )
        if isinstance(cause, NoConnection):
            return (
                f"A server does not answer: {cause}. Start it, or mend its address "
                "(MLFLOW_TRACKING_URI), then run the same command again."
            )
        cause = cause.__cause__ or cause.__context__
    return "".join(traceback.format_exception(error))


def not_published(name: str, place: str, error: Exception) -> UserError:
    """What to raise when an artifact could not be brought to its place."""
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return UserError(
        f"Artifact '{name}' could not be published to {place}: {reason}. "
        "Mend that, then run the same command again."
    )
