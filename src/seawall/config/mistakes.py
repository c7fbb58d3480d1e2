"""What is wrong with a configuration file: every mistake with its place, its value and the remedy."""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seawall.core.errors import ConfigurationError
from seawall.errors.text import safe_text

Key = tuple[str | int, ...]


class Missing:
    """Stands for the value of a key that is not there."""

    def __repr__(self) -> str:
        return "(missing)"


MISSING = Missing()


class Mistake(NamedTuple):
    """One mistake.

    Args:
        file: the file as the user named it.
        line: from 1; 0 when the whole file is meant.
        key: dotted, as it stands in the file: "pipelines.catalogue.retry.attempts"; "" for the file itself.
        value: the value as TOML would write it, bounded; "(missing)" when there is none, "" when it says nothing.
        problem: what is wrong and what to do, without a full stop at its end.
    """

    file: str
    line: int
    key: str
    value: str
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.key} = {self.value}: " if self.key and self.value else f"{self.key}: " if self.key else ""
        return f"{place}: {subject}{self.problem}{'' if self.problem.endswith('?') else '.'}"

    def as_json(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return self._asdict()


class ConfigurationErrors(ConfigurationError):  # noqa: N818  # it holds several
    """A configuration file has one or more mistakes; its text lists them all, one a line.

    Args:
        mistakes: in the order of their lines.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(sorted(mistakes, key=lambda one: (one.line, one.key)))
        super().__init__("\n".join(str(one) for one in self.mistakes))

    def __reduce__(self) -> tuple[type[ConfigurationErrors], tuple[tuple[Mistake, ...]]]:
        return type(self), (self.mistakes,)


def file_mistake(path: Path | str, problem: str) -> ConfigurationErrors:
    """The error for a file that cannot even be read."""
    return ConfigurationErrors([Mistake(str(path), 0, "", "", problem)])


def dotted(key: Key) -> str:
    """A key as the file writes it: bare parts joined by dots, others in quotes, list places in brackets."""
    shown = ""
    for part in key:
        if isinstance(part, int):
            shown += f"[{part}]"
            continue
        bare = bool(part) and all(c.isascii() and (c.isalnum() or c in "_-") for c in part)
        text = part if bare else json.dumps(safe_text(part, 60), ensure_ascii=False)
        shown += f".{text}" if shown else text
    return shown


def shown_value(value: object, key: Key = (), limit: int = 60) -> str:
    """A value as TOML writes it, at most `limit` characters long.

    Values of environment variables are never shown: they are where secrets live.
    """
    if "env" in key[:-1] and not isinstance(value, Missing):
        return "…"
    return safe_text(_toml(value), limit)


def _toml(value: object) -> str:
    """A value in TOML's notation, with tables folded."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_toml(one) for one in list(value)[:20]) + "]"
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return repr(value)


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be, or None."""
    found = difflib.get_close_matches(str(word)[:100].lower().replace("-", "_"), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: object, known: Iterable[str], nothing: str = "") -> str:
    """A remedy for an unknown name: the nearest known one, else all of them, else `nothing`."""
    names = sorted(known)
    best = nearest(word, names)
    if best is not None:
        return f'did you mean "{best}"?'
    return f"known are {', '.join(names)}" if names else nothing
