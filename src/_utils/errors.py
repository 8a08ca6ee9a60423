"""Errors that the user can mend are told as a plain message, the others with their traceback."""

import errno
import re
import traceback

from requests.exceptions import ConnectionError as NoConnection

from _utils.variables import without_secrets

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
    """What to tell the user about an error, without secrets."""
    return without_secrets(_explain(error))


def _explain(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException  # late, for time

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
        if isinstance(cause, UnsupportedModelRegistryStoreURIException):
            reason = str(cause).partition(" See ")[0].strip()
            return f"{reason} Correct MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI."
        cause = cause.__cause__ or _quoted(cause)
    return "".join(traceback.format_exception(error))


def _quoted(error: BaseException) -> BaseException | None:
    """What an error repeats of the one that was handled when it was raised: MLflow forgets `from`.

    Any other that was being handled is not its cause.
    """
    handled = None if error.__suppress_context__ else error.__context__
    return handled if handled and str(handled) and str(handled) in str(error) else None
