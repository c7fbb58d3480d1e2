"""What is known of each key: a value and its age, and whether somebody is fetching a newer one.

A value is fresh for `fresh` seconds (spread by chance, so that keys that were filled together do not run out together)
and may stand in for a failure until it is `stale` seconds old.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from seawall.core.permit import Waiter


class StaleCacheOptions(NamedTuple):
    """Settings; the policy validates them.

    Args:
        fresh: seconds a value answers by itself; from 0 (never).
        stale: seconds a value may stand in for a failure, >= fresh.
        most: keys kept, from 1.
        spread: share of `fresh` by which it is shortened at most, from 0 to 1.
    """

    fresh: float
    stale: float
    most: int
    spread: float


class Flight:
    """One fetch of a value that others wait for."""

    __slots__ = ("answer", "done", "error", "ok", "value", "waiters")

    def __init__(self) -> None:
        self.done = False
        self.ok = False
        self.value: Any = None
        #: whether the value is a substitute, whose, and for what
        self.answer: tuple[bool, str, BaseException | None] = (False, "call", None)
        self.error: BaseException | None = None
        self.waiters: list[Waiter] = []


class Look(NamedTuple):
    """What a caller is to do: take a value ("fresh", "stale"), fetch one ("lead"), or wait for a fetch ("follow")."""

    what: Literal["fresh", "stale", "lead", "follow"]
    value: Any = None
    flight: Flight | None = None


class StaleCacheMachine:
    """Values by key, least recently used first. Moments are seconds on one clock."""

    __slots__ = ("_flights", "_values", "counts", "options")

    def __init__(self, options: StaleCacheOptions) -> None:
        self.options = options
        self._values: OrderedDict[Hashable, tuple[Any, float, float]] = OrderedDict()  # value, stored at, fresh until
        self._flights: dict[Hashable, Flight] = {}
        self.counts = {"fresh": 0, "stale": 0, "fetched": 0, "followed": 0}

    def look(self, key: Hashable, now: float) -> Look:
        """What a caller for `key` is to do. Who leads must `land` the flight, whatever happens."""
        held = self._values.get(key)
        if held is not None and now - held[1] < 0:  # a clock that went back must not keep values for ever
            held = self._values[key] = (held[0], now, now + self.options.fresh)
        if held is not None and now < held[2]:
            self._values.move_to_end(key)
            self.counts["fresh"] += 1
            return Look("fresh", held[0])
        if self.options.fresh == 0:
            return Look("lead", flight=Flight())  # every call is to be made, so nobody fetches for others
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight()
            return Look("lead", flight=flight)
        if held is not None and now - held[1] < self.options.stale:
            self.counts["stale"] += 1
            return Look("stale", held[0])  # somebody is fetching: nobody else needs to wait
        self.counts["followed"] += 1
        return Look("follow", flight=flight)

    def land(self, key: Hashable, flight: Flight, value: Any, now: float, chance: float) -> list[Waiter]:
        """The leader has a new value. Returns whom to wake."""
        self.counts["fetched"] += 1
        fresh = self.options.fresh * (1.0 - self.options.spread * chance)
        self._values[key] = (value, now, now + fresh)
        self._values.move_to_end(key)
        while len(self._values) > self.options.most:
            self._values.popitem(last=False)
        flight.ok, flight.value = True, value
        return self._end(key, flight)

    def fail(self, key: Hashable, flight: Flight, error: BaseException | None) -> list[Waiter]:
        """The leader has no new value; `error` is what its followers get, None if one of them is to lead."""
        flight.error = error
        return self._end(key, flight)

    def _end(self, key: Hashable, flight: Flight) -> list[Waiter]:
        """Nobody fetches any more."""
        flight.done = True
        if self._flights.get(key) is flight:
            del self._flights[key]
        waiters, flight.waiters = flight.waiters, []
        return waiters

    def last_known(self, key: Hashable, now: float) -> tuple[Any, float] | None:
        """A value that may stand in for a failure, and its age in seconds; None if there is none."""
        held = self._values.get(key)
        if held is None or now - held[1] >= self.options.stale:
            return None
        return held[0], max(0.0, now - held[1])

    def __len__(self) -> int:
        return len(self._values)
