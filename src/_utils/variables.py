"""Parameters that take from the environment, such as `https://${oc.env:PW}@host`.

main.py passes them on and records them as they are written, so that no password is on record or on
a command line; the component resolves them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from _utils.errors import UserError
from _utils.masking import has_password, masked, masked_text, remember

if TYPE_CHECKING:
    from omegaconf import DictConfig

VARIABLE = re.compile(r"\$\{oc\.(?:env|decode):")
# The same with what is before it: backslashes, and a key that it chooses, ${files.${oc.env:STAGE}}
IN_CONFIG = re.compile(r"(\$\{[\w.\[\]]*)?(\\*)\$\{(?=oc\.(?:env|decode):)")
OTHER = re.compile(r"(\\*)\$\{(oc\.(?:env|decode):)?")
NAME = re.compile(r"oc\.env:(\w+)")
# A URL that has no secrets but, perhaps, a user and a password
PLAIN_URL = re.compile(r"[\w+.-]+://([^/?#;@\s]*@)?[^?#;@\s]*")


def as_text(value: Any) -> str:
    """A config value as the parameter of a component: text as it is, null empty, the rest JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def kept_as_written(config: DictConfig) -> DictConfig:
    """The config with `${oc.env:...}` as plain text; all other `${...}` can still be resolved."""
    from omegaconf import OmegaConf

    def escaped(found: re.Match[str]) -> str:
        key, backslashes = found.groups()
        is_text_already = len(backslashes) % 2
        return found[0] if key or is_text_already else f"{backslashes}\\${{"

    raw = OmegaConf.to_container(config)
    return OmegaConf.create(each_text(lambda text: IN_CONFIG.sub(escaped, text), raw))


def value_of(text: str) -> Any:
    """What a text with `${oc.env:...}` means; other `${...}` in it mean nothing here.

    Raises:
        UserError: A variable is not set.
    """
    if not VARIABLE.search(text):
        return text
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    def escaped(found: re.Match[str]) -> str:
        backslashes, variable = found.groups()
        return 2 * backslashes + (f"${{{variable}" if variable else "\\${")

    try:
        return OmegaConf.to_container(OmegaConf.create([OTHER.sub(escaped, text)]), resolve=True)[0]
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0].rpartition("interpolation: ")[2]
        raise UserError(f"'{text}' cannot be resolved: {reason}. Set the variable.") from None


def resolved(text: str) -> str:
    """A parameter with what it takes from the environment.

    Raises:
        UserError: A variable is not set.
    """
    if not VARIABLE.search(text):
        return text
    for name in NAME.findall(text):
        remember(os.environ.get(name, ""), f"${{oc.env:{name}}}")
    try:
        return json.dumps(each_text(value_of, json.loads(text)))
    except json.JSONDecodeError:
        return as_text(value_of(text))


def resolved_argument(argument: str) -> str:
    """A word of a component's command line, `--name=value`, with its value resolved."""
    option, equals, value = argument.partition("=")
    return option + equals + resolved(value) if option.startswith("--") else resolved(argument)


def own_text(text: str) -> str:
    """A text without what it takes from the environment."""
    return re.sub(r"\$\{.*\}", "", text) if VARIABLE.search(text) else text


def recorded(tree: Any) -> Any:
    """The texts in lists and dicts, with URLs masked unless their secrets are variables."""

    def safe(text: str) -> str:
        own = own_text(text)
        has_secret = own == text or has_password(own) or "?" in own
        return masked_text(text) if has_secret else text

    return each_text(safe, tree)


def counted(text: str) -> str:
    """A parameter as it is in a cache key, without its secrets.

    A URL with another user or password is the same data. All else that is masked counts by a
    digest, a slow one, which does not help to guess the secret.
    """
    value = resolved(text)
    if PLAIN_URL.fullmatch(value):
        return masked(value)
    shown = masked_text(text)
    return shown if shown == value else f"{shown} {_slow_digest(value, text)}"


def each_text(change: Callable[[str], str], tree: Any) -> Any:
    """The same lists and dicts with each text in them changed."""
    if isinstance(tree, dict):
        return {key: each_text(change, value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [each_text(change, value) for value in tree]
    return change(tree) if isinstance(tree, str) else tree


@cache
def _slow_digest(value: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", value.encode(), salt.encode(), 100_000).hex()[:12]
