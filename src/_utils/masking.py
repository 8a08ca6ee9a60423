"""The secrets of a URL stay out of everything that is shown, logged or recorded.

In case of doubt more is masked than is secret.
"""

import re

from _utils.environment import told

MASK = "***"
SERVED = "SERVED_STORE"  # variable: what kind of database this process or its parent serves
# What a URL begins with, also a misspelt one: https://, https:/, https//
START = re.compile(r"[^@?#]*?(://?|//)|")
LOCAL = re.compile(r"\b(file|sqlite(\+\w+)?):///")  # such URLs hold only a path
# One host or several, each with or without a port; then perhaps a path
PLACE = re.compile(r"((^|,)(\[[\da-fA-F:.]+\]|[^:/,\[\]]*)(:\d*)?)+(/.*)?", re.DOTALL)
# Values in a query that are secrets, by the ends of their names; ?download=1 may be recorded
SECRET = re.compile(
    r"[?&;](sig|[^=&;]*(password|passwd|pwd|token|secret|signature|api_?key|access_?key))=[^?&;]",
    re.I,
)
CLOSING = "'\"`)]}>.,:;!"  # what follows a URL in a sentence
SHORTEST = 4  # characters of a secret that is looked for in messages

_secrets: dict[str, str] = {}  # secret that this process knows -> what to show in its place


def masked(url: str) -> str:
    """The URL without its user, password, query and fragment; hosts and paths stay."""
    url = without_server_path(url)
    start = START.match(url)[0]
    rest = url[len(start) :]
    before, at, after = rest.rpartition("@")
    if LOCAL.search(start + "/"):
        before, at, after = "", "", rest
        place = rest.partition("?")[0]
    elif start.endswith("//") or ":" in before:
        place = re.split("[?#;]", after)[0]
        # With a ?, # or ; before the @, nobody can tell a password from a query
        if re.search("[?#;]", before) or not PLACE.fullmatch(place):
            return start + MASK
    else:
        return url  # a path, or models:/name@alias
    query = after[len(place) :]
    return start + (MASK + at if before else "") + place + (query[:1] + MASK if query else "")


def masked_text(text: str) -> str:
    """The text with all URLs in it masked."""

    def mask(word: re.Match[str]) -> str:
        url = word[0].rstrip(CLOSING)
        return masked(url) + word[0][len(url) :]

    return re.sub(r"\S+", mask, without_server_path(text))


def has_password(text: str) -> bool:
    """Tell whether a URL in it holds a password, or over HTTP a user alone, which is a token."""
    for scheme, rest in re.findall(r"([\w+.-]*):?//(\S+)", text):
        user, _, place = re.split("[/?#]", rest)[0].rpartition("@")
        name, colon, password = user.partition(":")
        is_token = name and not colon and scheme in ("http", "https")
        is_cut = "@" in rest and not PLACE.fullmatch(place)  # by a raw '/' in the password
        if password or is_token or is_cut or SECRET.search(rest):
            return True
    return False


def remember(secret: str, shown: str) -> None:
    """Let messages of this process show something else in place of a secret."""
    if len(secret) >= SHORTEST:
        _secrets[secret] = shown


def without_secrets(text: str) -> str:
    """A message with the secrets that this process knows replaced, and URLs masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _secrets[secret])
    return masked_text(text)


def without_server_path(text: str) -> str:
    """The text without the path that opens the pipeline's own tracking server."""
    uri = told("MLFLOW_TRACKING_URI")
    is_own = bool(told(SERVED)) and uri.startswith("http://127.0.0.1:")
    path = uri.split("/", 3)[3:] if is_own else []
    return text.replace(path[0], MASK) if any(path) else text
