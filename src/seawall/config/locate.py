"""On which line of a TOML text each key stands; the standard parser does not say."""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.)?""")
_BARE = re.compile(r"[^,\]}\n#]*")
_STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of every table, key and list element of a valid TOML text; `()` stands for line 1.

    For text that the parser refuses, the lines found up to the place it could not make sense of.
    """
    finder = _Finder(text)
    try:
        finder.document()
    except (_LostError, RecursionError, tomllib.TOMLDecodeError):
        pass  # what was found so far is right; a mistake further down is reported on its table's line
    return finder.lines


def line_of(lines: dict[Path, int], key: Path) -> int:
    """The line of `key`, or of the nearest table around it that stands in the text."""
    while key not in lines and key:
        key = key[:-1]
    return lines.get(key, 1)


class _LostError(Exception):
    """The text is not the TOML that was expected here."""


class _Finder:
    """Walks over a text once and notes where things begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {(): 1}
        self._line = 1
        self._counted = 0

    def document(self) -> None:
        """Note all of the text."""
        table: Path = ()
        arrays: dict[Path, int] = {}
        while self._blank():
            if self._eat("[["):
                table = self._resolve(self._key(), arrays)
                arrays[table] = arrays.get(table, -1) + 1
                table = (*table, arrays[table])
                self._note(table)
                self._want("]]")
            elif self._eat("["):
                table = self._resolve(self._key(), arrays)
                self._note(table)
                self._want("]")
            else:
                self._pair(table)

    def _resolve(self, key: Path, arrays: dict[Path, int]) -> Path:
        """`key` with the current place put in after each array of tables on the way."""
        found: Path = ()
        for part in key[:-1]:
            found = (*found, part)
            if found in arrays:
                found = (*found, arrays[found])
        return (*found, key[-1])

    def _pair(self, table: Path) -> None:
        """Note one `key = value`."""
        start = self.at
        key = (*table, *self._key())
        self._note(key, start, parents_from=len(table))
        self._want("=")
        self._value(key)

    def _value(self, key: Path) -> None:
        """Note what is inside a value, and step over it."""
        self._blank()
        if self._eat("["):
            self._list(key)
        elif self._eat("{"):
            while self._blank() and not self._eat("}"):
                self._pair(key)
                self._blank()
                self._eat(",")
        else:
            for pattern in _STRINGS:
                found = pattern.match(self.text, self.at)
                if found:
                    self.at = found.end()
                    return
            found = _BARE.match(self.text, self.at)
            if found is None or found.end() == self.at:
                raise _LostError
            self.at = found.end()

    def _list(self, key: Path) -> None:
        """Note the elements of a list."""
        place = 0
        while self._blank() and not self._eat("]"):
            self._note((*key, place))
            self._value((*key, place))
            self._blank()
            self._eat(",")
            place += 1

    def _key(self) -> Path:
        """The parts of the key that stands here."""
        parts: list[str] = []
        while True:
            found = _KEY.match(self.text, self.at)
            if found is None:
                raise _LostError
            self.at = found.end()
            word = found.group().strip()
            word = word.removesuffix(".").strip() if found.group(1) else word
            parts.append(next(iter(tomllib.loads(f"{word} = 0"))) if word[0] in "\"'" else word)
            if not found.group(1):
                return tuple(parts)

    def _note(self, key: Path, at: int | None = None, *, parents_from: int | None = None) -> None:
        """Remember the line of `key`, and of the tables a dotted key opens on the way."""
        at = self.at if at is None else at
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        self.lines.setdefault(key, self._line)
        for length in range(1 if parents_from is None else parents_from + 1, len(key)):
            self.lines.setdefault(key[:length], self._line)

    def _blank(self) -> bool:
        """Step over space and comments; False at the end of the text."""
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at < len(self.text)

    def _eat(self, sign: str) -> bool:
        """Step over `sign` if it stands here."""
        if self.text.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False

    def _want(self, sign: str) -> None:
        """Step over `sign`, which must stand here."""
        self._blank()
        if not self._eat(sign):
            raise _LostError
