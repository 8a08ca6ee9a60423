"""Faults that a person can fix are told as a plain message, all others with their traceback."""

import difflib
import errno
import re
import traceback
from collections.abc import Iterable, Iterator

from requests.exceptions import ConnectionError as NoConnection

from _utils.masking import without_secrets

CURES = dict.fromkeys([errno.ENOSPC, errno.EDQUOT], "Free some space there")
CURES |= dict.fromkeys([errno.EACCES, errno.EPERM, errno.EROFS], "Make it writable")
IN_USE = (32, 33)  # how Windows says that another program has a file open, or a part of it locked
# What MLflow says of a URI models:/... for which there is no model or version
NO_MODEL = re.compile(r"^(\w+: )?Registered [Mm]odel (alias|with name)\b.* not found\.?$")
UNKNOWN_SCHEME = "got unsupported URI"  # of the URI of a tracking server or a registry


class UserError(Exception):
    """A fault that a person can fix: the message has the wrong value, what is wrong, the cure."""


def explain(error: BaseException) -> str:
    """What to tell the user about an error, without secrets."""
    if isinstance(error, UserError):
        return without_secrets(str(error))
    message = next(filter(None, map(_with_cure, _causes_of(error))), "")
    return without_secrets(message or "".join(traceback.format_exception(error)))


def _with_cure(error: BaseException) -> str:
    """What is wrong and how to fix it; empty if this function does not know."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, OSError) and error.errno in CURES:
        is_in_use = getattr(error, "winerror", None) in IN_USE
        cure = "Close the program that has it open" if is_in_use else CURES[error.errno]
        return f"{error}. {cure}, then run the same command again."
    if NO_MODEL.search(str(error)):
        return (
            f"{error} Make a version the champion: mlflow run . -e promote -P version=<number>; "
            "or train the first version: mlflow run ."
        )
    if isinstance(error, NoConnection):
        return (
            f"A server does not answer: {error}. Start it, or correct its address "
            "(MLFLOW_TRACKING_URI), then run the same command again."
        )
    if UNKNOWN_SCHEME in str(error):
        reason = str(error).partition(" See ")[0].strip()
        return f"{reason} Correct MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI."
    return ""


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: also what it quotes, since MLflow forgets `raise ... from`."""
    cause: BaseException | None = error
    while cause:
        yield cause
        handled = None if cause.__suppress_context__ else cause.__context__
        is_quoted = handled and str(handled) and str(handled) in str(cause)
        cause = cause.__cause__ or (handled if is_quoted else None)


def did_you_mean(word: str, words: Iterable[str], otherwise: str = "") -> str:
    """The cure for a misspelt word: the most similar one of these, or else all of them."""
    near = difflib.get_close_matches(word, words, 1)
    return f"did you mean '{near[0]}'?" if near else otherwise or f"choose from {', '.join(words)}."
