"""Reads a `seawall.toml` as a whole: a valid configuration, or all of its mistakes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seawall.config.checks import KINDS
from seawall.config.hidden import hidden
from seawall.config.locate import line_of, lines_of
from seawall.config.mistakes import (
    MISSING,
    ConfigurationErrors,
    Key,
    Mistake,
    dotted,
    file_mistake,
    nearest,
    shown_value,
)
from seawall.config.references import findings
from seawall.config.schema import Config
from seawall.config.syntax import HEADER, Parsed, parse
from seawall.config.wording import key_of, problem_of

_LARGEST_BYTES = 1_000_000


def load(path: str | Path) -> Config:
    """The configuration in the file at `path`.

    Raises:
        ConfigurationErrors: listing every mistake in it; nothing of a file with a mistake is used.
    """
    config = from_text(read(path), str(path))
    config._file = Path(path).absolute()
    return config


def from_text(text: str, name: str = "seawall.toml") -> Config:
    """The configuration in `text`; `name` is what messages call it.

    Raises:
        ConfigurationErrors: listing every mistake in it.
    """
    parsed = parse(text)
    mistakes = [Mistake(name, one.line, "", "", f"{one.text}: {one.problem}") for one in parsed.mistakes]
    report = _Report(name, parsed)
    config: Config | None = None
    data = report.with_known_kinds()
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for one in [*found, *hidden(found, data)]:
            report.add_validation(one, data)
    for key, problem in findings(data):
        report.add_reference(key, problem)
    mistakes += report.mistakes
    if mistakes or config is None:
        raise ConfigurationErrors(mistakes)
    return config


def read(path: str | Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigurationErrors: if there is no such file, or it is no text of a sensible size.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise file_mistake(path, "there is no such file: name one, as in seawall up path/to/seawall.toml") from None
    except IsADirectoryError:
        raise file_mistake(path, f"is a folder: name the file in it, as in seawall up {path}/seawall.toml") from None
    except OSError as error:
        raise file_mistake(path, f"cannot be read: {error.strerror or error}") from None
    if len(raw) > _LARGEST_BYTES:
        raise file_mistake(path, f"has {len(raw):,} bytes, more than the {_LARGEST_BYTES:,} a configuration may have")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = "is not UTF-8 text here: save the file with the encoding UTF-8"
        raise ConfigurationErrors([Mistake(str(path), line, "", "", problem)]) from None


class _Report:
    """Collects mistakes and finds their places."""

    def __init__(self, name: str, parsed: Parsed) -> None:
        self.name = name
        self.parsed = parsed
        self.lines = lines_of(parsed.text)
        self.mistakes: list[Mistake] = []

    def add(self, key: Key, value: object, problem: str) -> None:
        """Note one mistake at `key`."""
        line = line_of(self.lines, key)
        mistake = Mistake(self.name, line, dotted(key), shown_value(value, key), problem)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def add_validation(self, error: Any, data: Any) -> None:
        """Note what the validator found."""
        key = key_of(error)
        problem = problem_of(error, key, data)
        absent = error["type"] in {"missing", "union_tag_not_found"}
        if absent or (error["type"] == "cross" and not error["ctx"]["key"]):
            if self._torn(key[:-1] if absent else key):
                return
        elif isinstance(key[-1], int) or error["type"] != "cross":
            while key not in self.lines and len(key) > 1:  # `timeout = 5` is checked as `timeout.limit`
                key = key[:-1]
        self.add(key, MISSING if absent else self._value(key), problem)

    def add_reference(self, key: Key, problem: str) -> None:
        """Note a disagreement between sections, unless what is missed stood on a line that cannot be read."""
        unread = self.parsed.unread
        quoted = problem.partition('there is no process "')[2].partition('"')[0]
        if not (quoted and any(quoted in line for line in unread)):
            self.add(key, self._value(key), problem)

    def with_known_kinds(self) -> dict[str, Any]:
        """The tables, with misspelt kinds of checks put right, so that the rest of those checks is looked at too."""
        data = copy.deepcopy(self.parsed.data)
        for name, check in _checks(data):
            kind = check.get("kind")
            best = nearest(kind, KINDS) if isinstance(kind, str) and kind not in KINDS else None
            if best is not None:
                self.add(("checks", name, "kind"), kind, f'is no kind of check: did you mean "{best}"?')
                check["kind"] = best
        return data

    def _value(self, key: Key) -> object:
        """The value at `key` in the file."""
        value: Any = self.parsed.data
        for part in key:
            try:
                value = value[part] if isinstance(value, dict | list) else MISSING  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                return MISSING
        return value

    def _torn(self, table: Key) -> bool:
        """True if a line of `table` could not be read: what seems to be missing may stand there."""
        if not self.parsed.torn:
            return False
        first = line_of(self.lines, table)
        lines = self.parsed.text.split("\n")
        after = next((at for at in range(first + 1, len(lines) + 1) if HEADER.match(lines[at - 1])), len(lines) + 1)
        return any(first <= at < after for at in self.parsed.torn)


def _checks(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The checks that are tables."""
    found = data.get("checks")
    for name, check in found.items() if isinstance(found, dict) else ():
        if isinstance(check, dict):
            yield name, check
