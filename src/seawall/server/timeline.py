"""The journal as lines for people: one sentence each, repetitions counted and not repeated."""

from __future__ import annotations

from collections import deque
from typing import Any

from seawall.events.journal import Entry, Journal
from seawall.events.types import TRANSITIONS, CheckChanged, ProcessExited, ProcessStarted, ProgramLinked, ProgramLost
from seawall.events.words import describe
from seawall.server.view.story import Event

#: Events that change something. All others are single calls: they are counted.
_CHANGES = frozenset({*TRANSITIONS, CheckChanged, ProcessStarted, ProcessExited, ProgramLinked, ProgramLost})
_BAD = {"CircuitOpened", "ProcessExited", "ProgramLost"}
_FOLD = 120.0  # seconds between two of a kind that still count as one line


class Timeline:
    """Follows a journal.

    Single calls that were refused, failed or were retried become one line per kind, name and cause, with a count and
    the time of the last; a change of the same thing ends the line, so that causes and effects stay in order.

    Args:
        journal: what is followed.
        size: lines kept; 400 by default.
    """

    def __init__(self, journal: Journal, size: int = 400) -> None:
        self._journal = journal
        self._seen = 0
        self._number = 0
        self._lines: deque[dict[str, Any]] = deque(maxlen=size)
        self._open: dict[tuple[str, ...], dict[str, Any]] = {}

    def lines(self, limit: int = 200) -> list[dict[str, Any]]:
        """The newest lines, oldest first."""
        return list(self._lines)[-limit:]

    def changes(self) -> list[Event]:
        """The changes among them."""
        return [Event(line["wall"], line["name"], line["text"]) for line in self._lines if line["change"]]

    def follow(self) -> list[dict[str, Any]]:
        """Take in what is new; the lines that are new or have changed."""
        appended = self._journal.appended
        new = appended - self._seen
        if new <= 0:
            return []
        self._seen = appended
        touched: dict[int, dict[str, Any]] = {}
        for entry in self._journal.entries(limit=new):
            line = self._add(entry)
            touched[line["id"]] = line
        return list(touched.values())

    def _add(self, entry: Entry) -> dict[str, Any]:
        """One entry: a line of its own, or one more in the count of an earlier one."""
        event, kind = entry.event, type(entry.event).__name__
        change = type(event) in _CHANGES
        if isinstance(event, CheckChanged) and (event.was, event.now) == ("unknown", "healthy"):
            change = False  # the first look: nothing has changed but what is known
        program = entry.source.partition("/")[0]
        if change:
            for key in [key for key in self._open if key[1] == event.name]:
                del self._open[key]
        else:
            key = (kind, event.name, program, str(getattr(event, "reason", "")), str(getattr(event, "cause", "")))
            line = self._open.get(key)
            if line is not None and entry.wall - line["last"] <= _FOLD:
                line["count"] += 1
                line["last"] = max(line["last"], entry.wall)
                return line
        self._number += 1
        line = {
            "id": self._number,
            "wall": entry.wall,
            "last": entry.wall,
            "count": 1,
            "change": change,
            "mark": _mark(event, kind),
            "name": event.name,
            "source": entry.source,
            "text": describe(event),
        }
        self._lines.append(line)
        if not change:
            if len(self._open) > 500:
                self._open.clear()
            self._open[key] = line
        return line


def _mark(event: Any, kind: str) -> str:
    """The colour of the line's mark: "bad", "good", or "" for neither."""
    if kind in _BAD:
        return "bad"
    if kind in {"CircuitClosed", "ProcessStarted", "ProgramLinked"}:
        return "good"
    if kind == "CheckChanged" and event.was != "unknown":
        return "good" if event.now == "healthy" else "bad" if event.now in {"unhealthy", "critical"} else ""
    return ""
