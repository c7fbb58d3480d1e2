"""From text to tables, with every syntax error and not only the first."""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple

from seawall.errors.text import safe_text

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
HEADER = re.compile(r"^[ \t]*\[\[?[^\[\]]+\]\]?[ \t\r]*(#.*)?$")
_MOST = 50  # a file with more syntax errors than this is not TOML at all

_REMEDIES = (
    ("Expected '=' after", 'a key needs "=" and a value after it: key = value'),
    ("Invalid value", 'text needs double quotes, and true and false are written small: key = "text"'),
    ("Expected newline", "one key to a line: what follows the value does not belong there"),
    ("Illegal character '\\n'", 'close the quotes: key = "text"'),
    ("Unclosed array", 'a list is not closed: add the missing "]" or ","'),
    ("Unclosed inline table", 'a table in braces is not closed: add the missing "}" or ","'),
    ("Unescaped '\\'", "write a backslash twice, or use single quotes: 'C:\\path'"),
    ("Unterminated", "text is not closed: add the missing quotes"),
    ("Expected ']'", 'a section is written [name] on its own line: add the missing "]"'),
    ("Invalid initial character for a key", "quote a name that holds other signs than letters, digits, _ and -"),
    ("Cannot overwrite a value", "this key is there twice: keep one of them"),
    ("Duplicate inline table key", "this key is there twice: keep one of them"),
)


class SyntaxMistake(NamedTuple):
    """One place where the text is not TOML: its line (from 1), what stands there, and what is wrong with the remedy."""

    line: int
    text: str
    problem: str


class Parsed(NamedTuple):
    """What could be read.

    Args:
        data: the tables, without what could not be read.
        mistakes: the syntax errors, in order.
        text: the text that `data` was read from: the original, with what could not be read blanked.
        torn: lines on which something was blanked; what "is missing" from a table around them may be there.
        unread: what stood on them.
    """

    data: dict[str, Any]
    mistakes: list[SyntaxMistake]
    text: str
    torn: set[int]
    unread: list[str]


def parse(text: str) -> Parsed:
    """Read TOML; where the parser stops, note why, leave that line (or its table) out, and read on."""
    lines = text.split("\n")
    mistakes: list[SyntaxMistake] = []
    torn: set[int] = set()
    while True:
        try:
            now = "\n".join(lines)
            return Parsed(tomllib.loads(now), mistakes, now, torn, _unread(text, torn))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            place = _PLACE.search(str(error))
            if isinstance(error, RecursionError) or place is None or place.group(1) is None or len(mistakes) >= _MOST:
                last = _last(lines)
                final = SyntaxMistake(last, _shown(lines, last), _problem(error, lines))
                return Parsed({}, [*mistakes, final], "", torn, _unread(text, torn))
            number = min(int(place.group(1)), len(lines))
            if not lines[number - 1].strip():  # the parser noticed late, on a line that says nothing
                number = _before(lines, number)
            mistakes.append(SyntaxMistake(number, _shown(lines, number), _problem(error, lines, number)))
            torn |= _blank(lines, number, str(error))


def _unread(text: str, torn: set[int]) -> list[str]:
    """The lines of the original that were left out."""
    return [line for number, line in enumerate(text.split("\n"), 1) if number in torn]


def _blank(lines: list[str], number: int, message: str) -> set[int]:
    """Empty the line `number`, or all of its table when the error spans lines; returns the lines emptied."""
    first, after = number, number + 1
    header = HEADER.match(lines[number - 1]) is not None
    if message.startswith("Unclosed") or header:
        if not header:
            while first > 1 and not HEADER.match(lines[first - 2]):
                first -= 1
        while after <= len(lines) and not HEADER.match(lines[after - 1]):
            after += 1
    for at in range(first, after):
        lines[at - 1] = ""
    return set(range(first, after))


def _problem(error: Exception, lines: list[str], number: int = 0) -> str:
    """What the parser said, and what to do about it."""
    if isinstance(error, RecursionError):
        return "cannot be read: lists or tables are nested too deeply"
    message = _PLACE.sub("", str(error))
    if message.startswith("Cannot declare") and message.endswith("twice"):
        header = lines[number - 1].split("#")[0].strip()
        first = next((at for at, line in enumerate(lines, 1) if line.split("#")[0].strip() == header), 0)
        where = f" (first on line {first})" if first and first != number else ""
        return f"this section is there twice{where}: give one of them another name, or merge them"
    for start, remedy in _REMEDIES:
        if message.startswith(start):
            return remedy
    return f"not valid TOML: {safe_text(message, 120)}"


def _shown(lines: list[str], number: int) -> str:
    """A line as it is shown in a message."""
    return safe_text(lines[number - 1].strip(), 60) if lines else ""


def _before(lines: list[str], number: int) -> int:
    """The last line up to `number` that says something."""
    while number > 1 and not lines[number - 1].strip():
        number -= 1
    return number


def _last(lines: list[str]) -> int:
    """The last line that says something."""
    return _before(lines, len(lines))
