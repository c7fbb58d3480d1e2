"""What rate limits and bulkheads share: a line in front, a machine for each key, one lock around a decision."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError
from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
from seawall.core.validate import duration, text, whole
from seawall.machines.shared import Shared
from seawall.measure.histogram import Histogram
from seawall.policies.base import PolicyBase
from seawall.policies.keyed import KeyTable, key_label

if TYPE_CHECKING:
    from seawall.core.verdict import Verdict
    from seawall.drive.call import KeyRule

BUSIEST = 10  #: keys that a snapshot tells apart
DAY = 86400.0


class QueueingPolicy(PolicyBase):
    """A policy in front of which callers may stand in line, with one state or one for each key.

    Args:
        name: see `PolicyBase`.
        key: what sets calls apart; None for one state for all.
        max_keys, key_ttl: bounds of the keys kept.
        public_keys: whether keys may be written down as they are.
        shadow: decide, count and report, but let everybody through.
    """

    _state = (*PolicyBase._state, "_waits", "_shared", "_machine", "_table")
    _machine: Any
    _table: KeyTable[Any] | None

    def __init__(
        self,
        name: str | None,
        *,
        key: KeyRule | None,
        max_keys: int,
        key_ttl: float,
        public_keys: bool,
        shadow: bool,
    ) -> None:
        super().__init__(name)
        here = type(self).__name__
        if isinstance(key, str):
            text(f"{here}.key", key)
        elif key is not None and not callable(key):
            raise ConfigurationError(
                f"{here}.key = {key!r}: must be the name of an argument of the protected function, or a function of "
                "its arguments"
            )
        whole(f"{here}.max_keys", max_keys, 1)
        duration(f"{here}.key_ttl", key_ttl)
        for what, flag in (("public_keys", public_keys), ("shadow", shadow)):
            if not isinstance(flag, bool):
                raise ConfigurationError(f"{here}.{what} = {flag!r}: must be True or False")
        self.key = key
        self.shadow = shadow
        self.max_keys = max_keys
        self.key_ttl = float(key_ttl)
        self.public_keys = public_keys

    def _begin(self) -> None:
        super()._begin()
        self._waits = Histogram()
        self._shared = Shared(shadow=self.shadow)
        self._outbox = self._shared.outbox
        self._machine = self._make(self.name) if self.key is None else None
        self._table = None
        if self.key is not None:
            self._table = KeyTable(self._for_key, most=self.max_keys, ttl=self.key_ttl, needed=self._needed)

    def _make(self, name: str) -> Any:
        """A fresh machine."""
        raise NotImplementedError

    def _needed(self, machine: Any, now: float) -> bool:
        """Whether a key's machine holds what should not be forgotten."""
        raise NotImplementedError

    def _for_key(self, key: Hashable) -> Any:
        """A fresh machine for a key."""
        return self._make(self._key_name(key))

    def _key_name(self, key: Hashable) -> str:
        """What a key is called in events and snapshots."""
        return f"{self.name}[{key_label(key, public=self.public_keys)}]"

    def _home(self, key: Hashable, now: float) -> Any:
        """The machine that decides on a key; needs the lock."""
        return self._machine if self._table is None else self._table.get(key, now)

    def _seen(self, key: Hashable) -> Any:
        """The machine of a key to read from, or None if it has none; needs the lock."""
        return self._machine if self._table is None else self._table.peek(key)

    def _machines(self) -> Iterator[Any]:
        """All machines; needs the lock."""
        return iter([self._machine]) if self._table is None else self._table.machines()

    def _owner(self, of: Permit | Parked) -> Any:
        """The machine that a permit or a place came from, whatever has become of its key."""
        return self._machine if of.home is None else of.home

    # ------------------------------------------------------------ the line

    def _check(self, ask: Ask) -> None:
        """Refuse what can never be admitted."""

    def enter(self, ask: Ask, make_waiter: Callable[[], Waiter]) -> Permit | Parked | Rejection:
        """A permit, a place in line for a caller who may wait, or a refusal.

        Raises:
            ConfigurationError: if the call asks for more than can ever be had.
        """
        self._check(ask)
        with self._lock:
            now = self.clock.now()
            machine = self._home(ask.key, now)
            granted: Permit | Parked | Rejection = machine.enter(ask, now)
            if not isinstance(granted, Rejection):
                if self._table is not None:
                    granted.home = machine
                if isinstance(granted, Parked):
                    granted.waiter = make_waiter()
                else:
                    self._waits.observe(0.0)
        self._publish()
        return granted

    def claim(self, place: Parked) -> Permit | Parked | Rejection:
        """What has become of a place."""
        with self._lock:
            now = self.clock.now()
            machine = self._owner(place)
            state: Permit | Parked | Rejection = machine.claim(place, now)
            if isinstance(state, Permit):
                state.home = place.home
                self._waits.observe(max(0.0, now - place.entered_at))
            moved = machine.moved() if isinstance(state, Rejection) else []
        self._publish()
        if moved:
            self._wake(moved)
        return state

    def abandon(self, place: Parked) -> None:
        """One who waited goes away, perhaps with a permit just given to it: those behind it move up."""
        if self._lock._is_owned():
            self._put_off(self.abandon, place)
            return
        with self._lock:
            woken = self._owner(place).abandon(place, self.clock.now())
        if woken:
            self._wake(woken)
        if self._late or self._outbox:
            self._publish()

    def leave(self, permit: Permit, verdict: Verdict, *, retry_after: float | None = None) -> None:
        """A call has ended."""
        if self._lock._is_owned():
            self._put_off(self.leave, permit, verdict, retry_after=retry_after)
            return
        with self._lock:
            woken = self._owner(permit).leave(permit, verdict, self.clock.now(), retry_after)
        if woken:
            self._wake(woken)
        if self._late or self._outbox:
            self._publish()

    def _wake(self, woken: list[Parked]) -> None:
        """Have them look at their places; one whose loop is closed is abandoned, and what it had goes on."""
        left = deque(woken)
        while left:  # not by recursion: thousands may have waited on one loop
            place = left.popleft()
            if place.waiter is not None and not place.waiter.wake():
                with self._lock:
                    left.extend(self._owner(place).abandon(place, self.clock.now()))

    def _change(self, act: Callable[[Any, float], list[Parked]]) -> None:
        """Change every machine, and wake whom that concerns."""
        with self._lock:
            now = self.clock.now()
            woken = [place for machine in self._machines() for place in act(machine, now)]
        self._wake(woken)
        self._publish()

    # ------------------------------------------------------------ the rest

    def _renamed(self) -> None:
        if self._table is None:
            self._machine.name = self.name
        else:
            for key, machine in self._table.items():
                machine.name = self._key_name(key)

    def _renew(self) -> None:
        for machine in self._machines():
            machine.renew()
        self._shared.waiting = self._shared.inside = 0  # also those of keys that were let go

    def _counters(self) -> dict[str, int]:
        """Counts over all keys, those that were let go included."""
        counters = {f"requests.{what}": count for what, count in self._shared.counts.items()}
        if self._table is not None:
            counters["keys.evicted"] = self._table.evicted
        return counters

    def _busiest(self) -> dict[str, int]:
        """The keys that have asked most, with how often."""
        if self._table is None:
            return {}
        top = heapq.nlargest(BUSIEST, self._table.machines(), key=lambda machine: machine.asked)
        return {machine.name: machine.asked for machine in top}
