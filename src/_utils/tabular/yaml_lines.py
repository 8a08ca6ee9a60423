"""YAML whose faults can be told with the line that each is in."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.constructor import ConstructorError

Path = tuple[str | int, ...]  # the keys that lead to a value


class Loader(yaml.SafeLoader):
    """YAML in which a key is the text that is written, and only true and false are truth values.

    Numbers are those of YAML 1.2: 007 and 12:30 are codes, and 1e3 is a number.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The values by the text of their keys: a column may be named 2020, or no."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, "a key is no text", key.start_mark)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


STARTS = "-+.0123456789"  # how a number begins
Loader.yaml_implicit_resolvers = {
    first: [
        each for each in resolvers if each[0].rpartition(":")[2] not in ("bool", "int", "float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for kind, written, starts in [
    ("bool", r"(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"[-+]?(0|[1-9][\d_]*)$", STARTS),
    ("float", r"[-+]?((0|[1-9][\d_]*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?$", STARTS),
]:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(written), [*starts])


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads again: the text 1e3 in quotes."""


Dumper.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def repeated(node: yaml.Node | None, path: Path = ()) -> Iterator[Path]:
    """The keys that are there more than once beside each other."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from {(*path, key) for key in keys if keys.count(key) > 1}
        for key, value in node.value:
            yield from repeated(value, (*path, key.value))


def in_lines(
    faults: list[tuple[Path, str]], source: str, root: yaml.Node, overrides: dict, key: str
) -> str:
    """The faults of a file, one in a line, in the order of the file; then those of its overrides.

    Args:
        faults: Where each fault is, and what is wrong.
        source: The name of the file.
        root: The file, composed with `Loader`.
        overrides: Values that replace those of the file.
        key: What the overrides are called.
    """
    lines, above = dict(_lines(root)), dict.fromkeys(_paths(overrides))
    placed = set()
    for path, text in faults:
        names = tuple(map(str, path))
        name, around, instead = ".".join(names), _nearest(names, lines), _nearest(names, above)
        if instead and len(instead) >= len(around):
            placed.add((float("inf"), f"{key}.{name}: {text}."))
        else:
            line = lines.get(around, 1)
            placed.add((line, f"{source}, line {line}, {name}: {text}."))
    return "\n".join(message for _, message in sorted(placed))


def _lines(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """The line of each key, by path."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # of a repeated key, the first counts
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))


def _paths(values: dict, path: Path = ()) -> Iterator[Path]:
    """The path of each key."""
    for key, value in values.items():
        yield (*path, str(key))
        if isinstance(value, dict):
            yield from _paths(value, (*path, str(key)))


def _nearest(path: Path, known: dict[Path, Any]) -> Path:
    """The path of a key, or of the nearest key around it that is known."""
    around = (path[:length] for length in range(len(path), 0, -1))
    return next((each for each in around if each in known), ())
