"""YAML whose faults can be told with the line that each is in."""

from collections.abc import Iterator

import yaml

Path = tuple[str | int, ...]  # the keys that lead to a value


class Loader(yaml.SafeLoader):
    """YAML in which a key is the text that is written, and only true and false are truth values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The values by the text of their keys: a column may be named 2020, or no."""
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if first in "tTfF" or not each[0].endswith(":bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def repeated(node: yaml.Node | None, path: Path = ()) -> Iterator[Path]:
    """The keys that are there more than once beside each other."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from {(*path, key) for key in keys if keys.count(key) > 1}
        for key, value in node.value:
            yield from repeated(value, (*path, key.value))


def in_lines(faults: list[tuple[Path, str]], source: str, root: yaml.Node) -> str:
    """The faults of a file, one in a line, in the order of the file.

    Args:
        faults: Where each fault is, and what is wrong.
        source: The name of the file.
        root: The file, composed with `Loader`.
    """
    lines = dict(_lines(root))
    placed = {(_line(path, lines), ".".join(map(str, path)), text) for path, text in faults}
    return "\n".join(f"{source}, line {line}, {key}: {text}." for line, key, text in sorted(placed))


def _lines(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """The line of each key, by path."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # of a repeated key, the first counts
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))


def _line(path: Path, lines: dict[Path, int]) -> int:
    """The line of a key, or of the nearest key around it that the file has."""
    names = [str(each) for each in path]
    around = (tuple(names[:length]) for length in range(len(names), 0, -1))
    return next((lines[each] for each in around if each in lines), 1)
