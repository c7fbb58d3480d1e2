"""A bounded ring of what happened: the memory behind `explain`, the dashboard's timeline and incident reports."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from seawall.core.fork import renew_after_fork
from seawall.events.types import EVENTS, RawEvent, inflate
from seawall.events.words import describe


class Entry(NamedTuple):
    """One line of a journal: wall time in seconds, the program it comes from ("" for this one), and the event."""

    wall: float
    source: str
    event: Any

    def __str__(self) -> str:
        """The event in words."""
        return describe(self.event)

    def as_json(self) -> dict[str, Any]:
        """A flat dictionary: "wall", "source", "event" (the class name) and the event's own fields."""
        return {
            "wall": self.wall,
            "source": self.source,
            "event": type(self.event).__name__,
            **self.event._asdict(),
        }


def entry_from_json(data: Mapping[str, Any], source: str = "") -> Entry:
    """The inverse of `Entry.as_json`; `source`, if given, is put in place of the one in `data`.

    Raises:
        ValueError: if the event is of an unknown kind or its fields do not fit.
    """
    kind = EVENTS.get(str(data.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {data.get('event')!r}: known are {', '.join(sorted(EVENTS))}")
    try:
        event = kind(**{field: data[field] for field in kind._fields})
    except KeyError as missing:
        raise ValueError(f"{kind.__name__} lacks the field {missing}") from None
    return Entry(float(data.get("wall", 0.0)), source or str(data.get("source", "")), event)


class Journal:
    """A ring of the last `capacity` events, and counts of successes by second.

    Appending is one atomic step and takes no lock; memory is bounded by `capacity` (about 200 bytes an entry) plus
    one pair per second for the last `seconds` seconds.

    Args:
        capacity: entries kept, from 1; 4,096 by default, some hours of an ordinary service's refusals and failures.
        seconds: how many seconds of success counts are kept; 3,600 by default.
    """

    __slots__ = ("__weakref__", "_lock", "_ring", "_successes", "appended")

    def __init__(self, capacity: int = 4096, seconds: int = 3600) -> None:
        self._ring: deque[tuple[float, str, RawEvent]] = deque(maxlen=capacity)
        self._successes: deque[list[int]] = deque(maxlen=seconds)
        self.appended = 0
        self._lock = threading.Lock()  # for the counts, which are read and written back
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A new lock in the child."""
        self._lock = threading.Lock()

    def append(self, wall: float, raw: RawEvent, source: str = "") -> None:
        """Keep one raw event; the oldest gives way when the ring is full."""
        self._ring.append((wall, source, raw))
        self.appended += 1

    def add_entry(self, entry: Entry) -> None:
        """Keep an event that another program reported."""
        self.append(entry.wall, (type(entry.event), *entry.event), entry.source)

    def count_success(self, wall: float) -> None:
        """Count one successful call in the second of `wall`."""
        second = int(wall)
        counts = self._successes
        with self._lock:
            if counts and counts[-1][0] == second:
                counts[-1][1] += 1
            else:
                counts.append([second, 1])

    def successes(self) -> list[tuple[int, int]]:
        """(second since the epoch, successful calls) for the seconds kept, oldest first."""
        with self._lock:
            return [(second, count) for second, count in self._successes]

    def entries(self, *, since: float = 0.0, name: str | None = None, limit: int | None = None) -> list[Entry]:
        """Entries with `wall > since`, oldest first; those of one `name` if given, the last `limit` of them."""
        found = [
            Entry(wall, source, inflate(raw))
            for wall, source, raw in list(self._ring)
            if wall > since and (name is None or raw[3] == name)
        ]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self._ring)
