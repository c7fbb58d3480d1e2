"""A bounded ring of what happened: the memory behind `explain`, the dashboard's timeline and incident reports."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from seawall.core.fork import renew_after_fork
from seawall.events.ids import long_id_of, new_worker, short
from seawall.events.types import (
    CallFailed,
    CallRejected,
    CallShadowed,
    CallSlow,
    CallTimedOut,
    FallbackUsed,
    RawEvent,
    Refusal,
    RetryGaveUp,
    RetryScheduled,
    inflate,
)
from seawall.events.words import describe

#: A flood of refusals must not wash away the failures that caused it, nor failures the transitions: each sort of event
#: has a ring of its own. What is in neither of these two is rare and tells what changed.
_FAILURES = frozenset({CallFailed, CallSlow, CallTimedOut, RetryGaveUp})
_EFFECTS = frozenset({CallRejected, CallShadowed, FallbackUsed, RetryScheduled})

_Kept = tuple[int, float, str, str, RawEvent]  # number in the journal, wall, source, worker, event


class Entry(NamedTuple):
    """One line of a journal.

    `wall` is its time in seconds, `source` the program it comes from ("" for this one), `worker` the process, which
    makes the ids of events differ between processes that count alike.
    """

    wall: float
    source: str
    event: Any
    worker: str = ""

    @property
    def id(self) -> str:
        """The short id of a refusal or a transition; "" for all else."""
        return short(self.long_id)

    @property
    def long_id(self) -> str:
        """The whole id; see `events.ids`."""
        return long_id_of(self.event, self.worker)

    def __str__(self) -> str:
        """The event in words."""
        return describe(self.event)

    def as_json(self) -> dict[str, Any]:
        """A flat dictionary: "wall", "source", "event" (the class name), the event's own fields, worker and id."""
        known = {"worker": self.worker} if self.worker else {}
        if self.worker and self.id:
            known["id"] = self.id
        return {
            "wall": self.wall,
            "source": self.source,
            "event": type(self.event).__name__,
            **self.event._asdict(),
            **known,
        }


def entry_from_json(data: Mapping[str, Any], source: str = "") -> Entry:
    """The inverse of `Entry.as_json`; `source`, if given, is put in place of the one in `data`.

    Raises:
        ValueError: if the event is of an unknown kind or its fields do not fit.
    """
    from seawall.events.every import EVENTS  # late: none but those who read entries of others need it

    kind = EVENTS.get(str(data.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {data.get('event')!r}: known are {', '.join(sorted(EVENTS))}")
    own = "worker" in kind._fields  # of ProgramLinked it is a field, and the entry's is not told
    try:
        event = kind(**{field: data[field] for field in kind._fields})
    except KeyError as missing:
        raise ValueError(f"{kind.__name__} lacks the field {missing}") from None
    worker = "" if own else str(data.get("worker", ""))
    return Entry(float(data.get("wall", 0.0)), source or str(data.get("source", "")), event, worker)


class Journal:
    """Rings of the last events, and counts of successes by second.

    There are four: one for single calls that failed, one for what came of it (refusals, retries, fallbacks), one for
    what an open circuit has refused in a flood, one for everything that changes a state. Appending one takes no lock;
    memory is bounded by `capacity` (about 250 bytes an entry) for each ring, plus one pair per second for the last
    `seconds` seconds.

    Args:
        capacity: entries kept in each ring, from 1; 4,096 by default, some hours of an ordinary service's failures.
        seconds: how many seconds of success counts are kept; 3,600 by default.
    """

    __slots__ = (
        "__weakref__", "_changes", "_effects", "_failures", "_further", "_lock", "_numbers", "_refusals", "_refused",
        "_successes", "appended", "before_reading", "fallen", "fallen_until", "worker",
    )  # fmt: skip

    def __init__(self, capacity: int = 4096, seconds: int = 3600) -> None:
        self._changes: deque[_Kept] = deque(maxlen=capacity)
        self._failures: deque[_Kept] = deque(maxlen=capacity)
        self._effects: deque[_Kept] = deque(maxlen=capacity)
        self._successes: deque[list[int]] = deque(maxlen=seconds)
        # Refusals by generated code, many in one: the first number, what makes moments wall times, the worker
        self._refused: deque[tuple[int, float, str, Sequence[Refusal]]] = deque()
        self._refusals = 0  # in all of those
        self._numbers = count(1)
        self._further = 0  # entries that took no number from there, as they came in one lot with others
        self.appended = 0
        self.worker = new_worker()  #: this process, in the ids of its events; new after a fork
        #: How many entries have given way, by the name of their event; off by one where two threads met.
        self.fallen: Counter[str] = Counter()
        self.fallen_until = 0.0  #: wall time of the newest entry that has given way; 0 while none has
        self.before_reading: list[Callable[[], None]] = []  #: bring in what is still to be counted
        self._lock = threading.RLock()  # for the counts, which are read and written back
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A new lock in the child, which is another worker; what the parent did stays in it under its own name."""
        self._lock = threading.RLock()
        self.worker = new_worker()

    def append(self, wall: float, raw: RawEvent, source: str = "", worker: str | None = None) -> None:
        """Keep one raw event of this process, or of `worker`; the oldest of its sort gives way when a ring is full."""
        kind = raw[0]
        ring = self._failures if kind in _FAILURES else self._effects if kind in _EFFECTS else self._changes
        if len(ring) == ring.maxlen and ring:
            oldest = ring[0]
            self.fallen[oldest[4][0].__name__] += 1
            self.fallen_until = max(self.fallen_until, oldest[1])
        number = next(self._numbers) + self._further
        ring.append((number, wall, source, self.worker if worker is None else worker, raw))
        self.appended = max(self.appended, number)  # another thread may have come later and be through already

    def append_refusals(self, refusals: Sequence[Refusal], epoch: float) -> None:
        """Keep many refusals of this process; `epoch` is what makes their moments wall times.

        Before a flood of them costs anything they are kept together as they come, and the oldest lot gives way.
        """
        most = self._effects.maxlen or 0
        count = len(refusals)
        with self._lock:
            first = next(self._numbers) + self._further
            lots = [(first, epoch, self.worker, refusals)]
            if count > most:
                older, newer = refusals[:-most], refusals[-most:]
                lots = [(first, epoch, self.worker, older), (first + count - most, epoch, self.worker, newer)]
            last = first + count - 1
            # NB: no call in these lines, so no signal handler comes between them
            self._refused += lots
            self._refusals += count
            self._further += count - 1
            while self._refusals > most:
                _, since, _, gone = self._refused[0]
                count = len(gone)
                # NB: as above
                del self._refused[0]
                self._refusals -= count
                self.fallen[CallRejected.__name__] += count
                self.fallen_until = max(self.fallen_until, gone[-1][1] + since)
            self.appended = max(self.appended, last)

    def add_entry(self, entry: Entry) -> None:
        """Keep an event that another program reported."""
        self.append(entry.wall, (type(entry.event), *entry.event), entry.source, entry.worker)

    def count_success(self, wall: float) -> None:
        """Count one successful call in the second of `wall`."""
        self.count_successes(int(wall), 1)

    def count_successes(self, second: int, count: int) -> None:
        """Count so many successful calls in a second since the epoch, which may be over."""
        counts = self._successes
        with self._lock:
            place = len(counts)
            while place and counts[place - 1][0] > second:
                place -= 1
            if place and counts[place - 1][0] == second:
                counts[place - 1][1] += count
            elif place == len(counts):
                counts.append([second, count])
            elif len(counts) < (counts.maxlen or 0):
                counts.insert(place, [second, count])

    def successes(self) -> list[tuple[int, int]]:
        """(second since the epoch, successful calls) for the seconds kept, oldest first."""
        for look in self.before_reading:
            look()
        with self._lock:
            return [(second, count) for second, count in self._successes]

    def entries(
        self,
        *,
        since: float = 0.0,
        name: str | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> list[Entry]:
        """Entries in the order they came: those with `wall > since`, of one `name` if given, the last `limit` of them.

        `after` leaves out as many as had been appended at an earlier look.
        """
        import heapq  # late: loaded when the first policy was made

        for look in self.before_reading:
            look()
        kept = heapq.merge(*(sorted(ring, key=_number) for ring in self._rings()), key=_number)
        found = [
            Entry(wall, source, inflate(raw), worker)
            for number, wall, source, worker, raw in kept
            if number > after and wall > since and (name is None or raw[3] == name)
        ]
        return found if limit is None else found[max(0, len(found) - limit) :]

    def _rings(self) -> list[list[_Kept]]:
        """Copies of all that is kept."""
        lots = list(self._refused)
        refused = [
            (place, at + epoch, "", worker, shut.event(number, at))
            for first, epoch, worker, refusals in lots
            for place, (number, at, shut) in enumerate(refusals, first)
        ]
        return [list(self._changes), list(self._failures), list(self._effects), refused]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self._changes) + len(self._failures) + len(self._effects) + self._refusals


def _number(kept: _Kept) -> int:
    """Its place in the journal."""
    return kept[0]
