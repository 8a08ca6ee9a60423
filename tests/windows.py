"""How Windows takes a command line apart, by its documented rules; nothing here needs Windows."""

import re


def after_switch_c(line: str) -> str:
    """What cmd executes of `cmd /c ...`.

    `cmd /?` tells: unless it is but a quoted name of an executable file, which no command here is,
    a quote at its beginning is stripped, and the last quote of all. With /s that is always so.
    """
    rest = re.fullmatch(r"cmd( /[ds])* /c (.*)", line, re.DOTALL)[2]
    if not rest.startswith('"'):
        return rest
    before, _, after = rest[1:].rpartition('"')
    return before + after


def through_cmd(line: str, variables: dict[str, str]) -> str:
    """What is left of a command when cmd hands it to a program.

    First variables are replaced, in quotes too, if they exist. Then each quote switches whether
    ^ and the operators mean something; ^ takes that meaning from the character after it.
    https://ss64.com/nt/syntax-esc.html
    """
    line = re.sub("%([^%]+)%", lambda found: variables.get(found[1], found[0]), line)
    passed, in_quotes, characters = "", False, iter(line)
    for character in characters:
        if character == "^" and not in_quotes:
            passed += next(characters, "")
            continue
        assert in_quotes or character not in "&|<>\n", f"cmd acts on {character} in {line}"
        in_quotes ^= character == '"'
        passed += character
    return passed


def arguments_of(line: str) -> list[str]:
    """What a program gets as its arguments, its own name being the first.

    https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments
    """
    found, current, in_quotes = [], "", False
    begun = False  # an empty pair of quotes is an argument
    for slashes, what in re.findall(r'(\\*)(""|"|[ \t]|[^\\" \t]|$)', line):
        if what.startswith('"'):
            pairs, escapes = divmod(len(slashes), 2)
            current, begun = current + "\\" * pairs, True
            if escapes:
                current, what = current + '"', what[1:]
            if what == '""' and in_quotes:
                current += '"'
            elif what == '"':
                in_quotes = not in_quotes
        elif what in " \t" and what and not in_quotes:
            found += [current + slashes] if begun or slashes else []
            current, begun = "", False
        else:
            current, begun = current + slashes + what, begun or bool(slashes + what)
    return [*found, current] if begun else found
