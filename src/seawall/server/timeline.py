"""The journal as lines for people: one sentence each, repetitions counted and not repeated."""

from __future__ import annotations

from collections import deque
from typing import Any

from seawall.events.journal import Entry, Journal
from seawall.events.types import (
    TRANSITIONS,
    CheckChanged,
    CircuitHalfOpened,
    CircuitOpened,
    ProcessExited,
    ProcessStarted,
    ProgramLinked,
    ProgramLost,
)
from seawall.events.words import describe
from seawall.server.view.story import Event

#: Events that change something. All others are single calls: they are counted.
_CHANGES = frozenset({*TRANSITIONS, CheckChanged, ProcessStarted, ProcessExited, ProgramLinked, ProgramLost})
_BAD = {"CircuitOpened", "ProcessExited", "ProgramLost"}
_FOLD = 300.0  # seconds between two of a kind that still count as one line
_OPEN = 500  # lines that may be counted on


class Timeline:
    """Follows a journal.

    Single calls that were refused, failed or were retried become one line per kind, name and cause, with a count and
    the time of the last; so do the trials of a circuit that stays open. A change of the same thing ends the line, so
    that causes and effects stay in order.

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
        return [Event(line["wall"], line["kind"], line["name"], line["text"]) for line in self._lines if line["change"]]

    def follow(self) -> list[dict[str, Any]]:
        """Take in what is new; the lines that are new or have changed."""
        seen, self._seen = self._seen, self._journal.appended
        if self._seen == seen:
            return []
        touched: dict[int, dict[str, Any]] = {}
        for entry in self._journal.entries(after=seen):
            line = self._add(entry)
            touched[line["id"]] = line
        return list(touched.values())

    def _add(self, entry: Entry) -> dict[str, Any]:
        """One entry: a line of its own, or one more in the count of an earlier one."""
        event, kind = entry.event, type(entry.event).__name__
        change, again = _is_change(event), _is_again(event)
        program = entry.source.partition("/")[0]
        key = (kind, event.name, program, str(getattr(event, "reason", "")), str(getattr(event, "cause", "")))
        if change and not again:
            self._open = {known: line for known, line in self._open.items() if known[1] != event.name}
        else:
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
            "kind": kind,
            "name": event.name,
            "source": entry.source,
            "text": describe(event),
            "explain": entry.id,
        }
        self._lines.append(line)
        if again or not change:
            if len(self._open) >= _OPEN:
                self._open.clear()
            self._open[key] = line
        return line


def _is_change(event: Any) -> bool:
    """True for what changes something; the first look of a check that finds it healthy only tells what was so."""
    if isinstance(event, CheckChanged) and (event.was, event.now) == ("unknown", "healthy"):
        return False
    return type(event) in _CHANGES


def _is_again(event: Any) -> bool:
    """True for the trials of a circuit that stays open: they come every half minute for as long as the outage lasts."""
    if isinstance(event, CircuitOpened):
        return event.reason in {"trial_failed", "lease_ended"}
    return isinstance(event, CircuitHalfOpened) and event.reason != "manual"


def _mark(event: Any, kind: str) -> str:
    """The colour of the line's mark: "bad", "good", or "" for neither."""
    if kind in _BAD:
        return "bad"
    if kind in {"CircuitClosed", "ProcessStarted", "ProgramLinked"}:
        return "good"
    if kind == "CheckChanged" and event.was != "unknown":
        return "good" if event.now == "healthy" else "bad" if event.now in {"unhealthy", "critical"} else ""
    return ""
