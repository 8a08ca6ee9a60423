"""The commands in README.md and the other documents."""

import re
import shlex
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)  # one without a language


@cache
def commands(document: str) -> tuple[str, ...]:
    """The commands of a document, without their comments.

    Code blocks without a language hold commands; all others say what they hold. A command is a
    line, or more of them where a quote is not closed.
    """
    # Blocks with a language go first, for their end looks like the beginning of one without.
    text = re.sub(r"^```\w+\n.*?^```\n", "", (ROOT / document).read_text(), flags=re.M | re.S)
    found, begun = [], ""
    for line in "\n".join(BLOCK.findall(text)).splitlines():
        begun += line if begun else line.partition(" #")[0].strip()
        try:
            shlex.split(begun)
        except ValueError:  # a quote is open
            begun += "\n"
            continue
        found += [begun] if begun else []
        begun = ""
    assert not begun, begun
    return tuple(found)


def documented(document: str, part: str) -> str:
    """The command of a document that is this, or else the only one that has this in it."""
    found = {each for each in commands(document) if part in each}
    if part in found:
        return part
    assert len(found) == 1, f"{document} has {len(found)} commands with {part}"
    return found.pop()


def changed(command: str, changes: dict[str, str]) -> str:
    """A command with other values: an address that a test has, or fewer of them."""
    for documents, of_test in changes.items():
        assert documents in command, f"{documents} is not in {command}"
        command = command.replace(documents, of_test)
    return command
