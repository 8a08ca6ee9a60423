"""Parameters that take from the environment, as `https://${oc.env:PW}@host` does.

main.py hands them on and records them as they are written, so that no password is on record or on
a command line; the component resolves them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from _utils.masking import has_password, masked, masked_text

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

TAKES = re.compile(r"\$\{oc\.(?:env|decode):")
# A URL that has no secrets but, perhaps, a user and a password
PLAIN_URL = re.compile(r"[\w+.-]+://([^/?#;@\s]*@)?[^?#;@\s]*")
SHORTEST = 4  # characters of a value that is looked for in messages

_taken: dict[str, str] = {}  # values that this process has resolved -> how they are written


def as_text(value: Any) -> str:
    """A config value as the parameter of a component: text as it is, null empty, the rest JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def as_written(config: DictConfig | ListConfig) -> Any:
    """The values of a config, all resolved but for what takes from the environment."""
    from omegaconf import DictConfig, ListConfig
    from omegaconf.errors import InterpolationKeyError

    def value_of(key: Any) -> Any:
        keys: set[str] = set()  # variables that choose a key: ${files.${oc.env:STAGE}}
        while True:
            with _kept(keys) as seen:
                try:
                    value = config[key]
                    break
                except InterpolationKeyError:
                    if not seen or seen[-1] in keys:
                        raise
                    keys.add(seen[-1])
        return as_written(value) if isinstance(value, (DictConfig, ListConfig)) else value

    if isinstance(config, ListConfig):
        return [value_of(index) for index in range(len(config))]
    return {key: value_of(key) for key in config}


def resolved(text: str) -> str:
    """A parameter with what it takes from the environment.

    Raises:
        UserError: A variable is not set.
    """
    if not TAKES.search(text):
        return text
    try:
        return json.dumps(_resolve_all(json.loads(text)))
    except json.JSONDecodeError:
        return as_text(_resolve(text))


def resolved_argument(argument: str) -> str:
    """A word of a component's command line, `--name=value`, with its value resolved."""
    option, equals, value = argument.partition("=")
    return option + equals + resolved(value) if option.startswith("--") else resolved(argument)


def own_text(text: str) -> str:
    """What a text holds itself, without what it takes from the environment."""
    return re.sub(r"\$\{.*\}", "", text) if TAKES.search(text) else text


def recorded(tree: Any) -> Any:
    """The texts in lists and dicts, with URLs masked unless their secrets are variables."""
    if isinstance(tree, dict):
        return {key: recorded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [recorded(value) for value in tree]
    if not isinstance(tree, str):
        return tree
    own = own_text(tree)
    has_secret = own == tree or has_password(own) or "?" in own
    return masked_text(tree) if has_secret else tree


def without_secrets(text: str) -> str:
    """A message with what this process took from the environment as written, and URLs masked."""
    for value in sorted(_taken, key=len, reverse=True):
        text = text.replace(value, _taken[value])
    return masked_text(text)


def counted(text: str) -> str:
    """How a parameter stands in a cache key, without its secrets.

    Another user or password is no other data; all else that is not shown counts by a digest, one
    that takes long to compute, so that it does not help to guess what it is of.
    """
    value = resolved(text)
    if PLAIN_URL.fullmatch(value):
        return masked(value)
    shown = masked(value) if re.fullmatch(r"[\w+.-]+://\S+", value) else masked_text(text)
    return shown if shown == value else f"{shown} {_slow_digest(value, text)}"


@cache
def _slow_digest(value: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", value.encode(), salt.encode(), 100_000).hex()[:12]


def _resolve_all(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _resolve_all(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_resolve_all(value) for value in tree]
    return _resolve(tree) if isinstance(tree, str) else tree


def _resolve(text: str) -> Any:
    """A text with what it takes from the environment; other `${...}` in it means nothing here."""
    from omegaconf import OmegaConf
    from omegaconf.errors import GrammarParseError, OmegaConfBaseException

    from _utils.errors import UserError

    if not (found := TAKES.search(text)):
        return text
    start = found.start()
    for end in (each.end() for each in re.finditer("}", text[start:])):
        written, rest = text[start : start + end], text[start + end :]
        try:
            value = OmegaConf.to_container(OmegaConf.create([written]), resolve=True)[0]
        except GrammarParseError:  # it goes on to the next }
            continue
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"'{written}' cannot be resolved: {reason}.") from None
        if len(str(value)) >= SHORTEST:
            _taken[str(value)] = written
        if written == text:
            return value
        return f"{text[:start]}{value}{_resolve(rest)}"
    return text


@contextmanager
def _kept(keys: set[str]) -> Iterator[list[str]]:
    """Within this OmegaConf keeps what takes from the environment, but for these variables."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    seen: list[str] = []

    def env(name: str, *default: Any) -> str | None:
        seen.append(name)
        if name in keys:
            return oc.env(name, *default)
        return f"${{oc.env:{','.join(map(_as_argument, [name, *default]))}}}"

    def decode(text: str | None, _parent_: Any, _node_: Any) -> Any:
        if text and TAKES.search(text):
            return f"${{oc.decode:{_as_argument(text)}}}"
        return oc.decode(text, _parent_, _node_)

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    OmegaConf.register_new_resolver("oc.decode", decode, replace=True)
    try:
        yield seen
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
        OmegaConf.register_new_resolver("oc.decode", oc.decode, replace=True)


def _as_argument(value: Any) -> str:
    """A value as a resolver's argument is written."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if value is None:
        return "null"
    text = str(value)
    is_plain = re.fullmatch(r"[\w./-]+|\$\{[^{}]*\}", text) and text.lower() != "null"
    return text if is_plain else QuotedString(text, Quote.single).with_quotes()
