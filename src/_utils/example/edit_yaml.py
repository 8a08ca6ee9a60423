"""Change YAML files in block style and keep their comments, which no YAML library does."""

import re
from collections.abc import Iterator
from typing import Any

import yaml


def without(text: str, keys: set[str]) -> str:
    """Remove keys and list items from YAML, with the comments above and everything below them.

    Args:
        text: YAML in block style.
        keys: Dotted paths of keys; a path may end in an item of a list.
    """
    kept, comments = [], []
    for line, _, paths in _walk(text):
        if not paths:
            comments.append(line)
            continue
        if not keys & {*paths}:
            kept += [*comments, line]
        comments = []
    return "".join([*kept, *comments])


def with_values(text: str, values: dict[str, Any]) -> str:
    """Set keys of YAML to other values, which replace everything below them.

    Args:
        text: YAML in block style.
        values: The values, by the dotted paths of their keys.

    Raises:
        KeyError: The YAML lacks one of the keys.
    """
    kept, later, left = [], [], dict(values)
    for line, word, paths in _walk(text):
        inside = bool({*paths[:-1]} & {*values})
        if paths and paths[-1] in left:
            key = line[: line.index(word) + len(word)]
            kept += [*later, f"{key}: {in_one_line(left.pop(paths[-1]))}\n"]
        elif paths and not inside:
            kept += [*later, line]
        if not paths:
            later.append(line)  # a comment goes with what follows it
        else:
            later = []
    if left:
        raise KeyError(f"There are no keys {', '.join(left)} to set.")
    return "".join([*kept, *later])


def in_one_line(value: Any) -> str:
    """A value as YAML in one line; texts in double quotes where they need any."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w/$].*", value)
    dumped = yaml.safe_dump(value, width=float("inf"), allow_unicode=True, default_flow_style=True)
    if isinstance(value, str | list) and not (plain and dumped.startswith(plain[0])):
        dumped = yaml.safe_dump(
            value,
            width=float("inf"),
            allow_unicode=True,
            default_flow_style=True,
            default_style='"',
        )
    return dumped.removesuffix("...\n").strip()


def _walk(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """The lines with their word, and the dotted paths from the outermost key to it.

    A comment and an empty line have no paths.
    """
    path: list[tuple[int, str]] = []
    for line in text.splitlines(keepends=True):
        if not line.strip() or line.lstrip().startswith("#"):
            yield line, "", []
            continue
        indent, word = re.match(r"( *)(?:- )?([^:\s]*)", line).groups()  # type: ignore[union-attr]
        path = [(depth, key) for depth, key in path if depth < len(indent)]
        path.append((len(indent), word))
        yield line, word, [".".join(key for _, key in path[: n + 1]) for n in range(len(path))]
