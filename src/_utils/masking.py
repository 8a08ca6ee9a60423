"""The secrets of a URL stay out of everything that is shown, logged or recorded."""

import re
from urllib.parse import urlsplit

from _utils.environment import told

MASK = "***"
SERVED = "SERVED_STORE"  # variable: what kind of database this process or its parent serves
LOCAL = re.compile(r"\b(file:///|sqlite(\+\w+)?:///|[A-Za-z]:/)$")  # such URLs hold only a path
# How the names of secret values in a query end; other values, such as ?download=1, may be recorded
SECRET = re.compile(
    r"(password|passwd|pwd|token|secret|signature|api_?key|access_?key)$|^sig$", re.I
)
CLOSING = "'\"`)]}>.,:;!"  # what follows a URL in a sentence
# What a URL without its slashes begins with: https:user:password@host, user:password@host
NO_SLASHES = re.compile(r"[\w.+%-]+:\S*@(?=\w)")


def masked(url: str) -> str:
    """The URL without its secrets: user, password, the values of its query, and its fragment.

    A URL that can be read in two ways, such as one whose password holds a raw `/`, `?`, `#` or `@`,
    hides what is secret in either.
    """
    url = without_server_path(url)
    scheme, slashes, rest = url.partition("//")
    if not slashes:  # misspelt: https:/user:password@host
        scheme, slashes, rest = url.partition(":/")
    if not slashes:
        scheme, rest = "", url
    if slashes != "//" and ":" not in rest.rpartition("@")[0]:
        return url  # a path, or models:/name@alias
    start = scheme + slashes
    if LOCAL.search(start + rest[:1]):
        path, mark, query = rest.partition("?")
        return start + path + mark + _masked_values(query)
    try:
        return start + _masked_rest(rest)
    except ValueError:  # urllib cannot read it
        return start + MASK


def has_password(text: str) -> bool:
    """Tell whether a URL in it holds a password, or over HTTP a user alone, which is a token."""
    for url in re.findall(r"[\w+.-]*:?//\S+", text):
        values = [value.partition("=") for value in re.split("[?&;]", url)[1:]]
        if any(value and SECRET.search(name) for name, _, value in values):
            return True
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:  # perhaps for a raw '/' in the password
            return "@" in url
        is_token = parts.scheme in ("http", "https") and parts.username and parts.password is None
        if parts.password or is_token:
            return True
    return False


def masked_text(text: str) -> str:
    """The text with all URLs in it masked."""

    def mask(found: re.Match[str]) -> str:
        word = found[0].rstrip(CLOSING)
        if "//" in word or ":/" in word:
            return masked(word) + found[0][len(word) :]
        return NO_SLASHES.sub(f"{MASK}@", found[0])

    return re.sub(r"\S+", mask, without_server_path(text))


def without_server_path(text: str) -> str:
    """The text without the path that opens the pipeline's own tracking server."""
    uri = told("MLFLOW_TRACKING_URI")
    is_own = bool(told(SERVED)) and uri.startswith("http://127.0.0.1:")
    path = uri.split("/", 3)[3:] if is_own else []
    return text.replace(path[0], MASK) if any(path) else text


def _masked_rest(rest: str) -> str:
    """What follows the scheme, masked; raises ValueError if it cannot be read."""
    parts = urlsplit(f"//{rest}")
    if "@" in parts.path + parts.query + parts.fragment:
        # It ends a password that holds a '/', '?' or '#' - or it is part of the path or the query.
        if "@" in parts.query + parts.fragment and _has_host(parts.netloc):
            return MASK
        return f"{MASK}@{_masked_rest(rest.rpartition('@')[2])}"
    user, _, host = parts.netloc.rpartition("@")
    if not _has_host(host):
        raise ValueError
    place, *settings = f"{host}{parts.path}".split(";")  # of JDBC: host;user=me;password=secret
    return (
        (f"{MASK}@" if user else "")
        + ";".join([place, *map(_masked_values, settings)])
        + (f"?{_masked_values(parts.query)}" if parts.query else "")
        + (f"#{MASK}" if parts.fragment else "")
    )


def _has_host(netloc: str) -> bool:
    """Tell whether it can be a host, or several, each with or without a port."""
    try:
        hosts = netloc.partition(";")[0].split(",")
        return all(urlsplit(f"//{host}").port is not False for host in hosts)
    except ValueError:
        return False


def _masked_values(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    # A name without a value may be the secret: a token that ends in '='.
    return "&".join(f"{name}={MASK}" if value.strip("=") else MASK for name, _, value in pairs)
