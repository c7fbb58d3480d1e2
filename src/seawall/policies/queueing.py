"""What rate limits and bulkheads share: a line in front, a machine for each key, a lock around a decision.

Without keys there is one lock. With keys they are spread over stripes, each with a lock, a table and counts of its own;
see `docs/adr/0012-keys.md`. Long, as which lock a step of the line takes has to be seen beside the step.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from seawall.core.errors import ConfigurationError
from seawall.core.lazy import lazy
from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
from seawall.core.validate import duration, text, whole
from seawall.machines.shared import Shared
from seawall.policies.base import PolicyBase
from seawall.policies.keyed import KeyTable, Locks, Stripe, key_label, stripe_of, stripes_for

if TYPE_CHECKING:
    from seawall.core.snapshot import HistogramData
    from seawall.core.verdict import Verdict
    from seawall.drive.protocols import KeyRule
    from seawall.events.types import RawEvent
    from seawall.measure.histogram import Histogram

T = TypeVar("T")

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

    max_keys = 10_000
    key_ttl = 3600.0
    public_keys = False
    _waits: Histogram = lazy()
    _shared: Shared = lazy()
    _machine: Any = lazy()  # None with keys
    _stripes: tuple[Stripe, ...] = lazy()
    _forking = False

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
        self._keep(key=key, shadow=shadow, max_keys=max_keys, key_ttl=float(key_ttl), public_keys=public_keys)

    def _new_lock(self) -> Any:
        """What guards it; with keys also the locks of the stripes."""
        return super()._new_lock() if self.key is None else Locks(len(stripes_for(self.max_keys)))

    def _begin(self) -> dict[str, Any]:
        state = super()._begin()
        rooms = [self.max_keys] if self.key is None else stripes_for(self.max_keys)
        stripes = tuple(
            Stripe(self._share(number, state["_outbox"], state["_numbers"])) for number, _ in enumerate(rooms)
        )
        shared = stripes[0].shared
        if self.key is not None:
            for stripe, most in zip(stripes, rooms, strict=True):
                make = functools.partial(self._for_key, shared=stripe.shared)
                stripe.table = KeyTable(make, most=most, ttl=self.key_ttl, needed=self._needed)
        machine = self._make(self.name, shared) if self.key is None else None
        return {**state, "_stripes": stripes, "_shared": shared, "_waits": stripes[0].waits, "_machine": machine}

    def _share(self, number: int, outbox: deque[RawEvent], numbers: Iterator[int]) -> Shared:
        """What the machines of a stripe have in common; events are those of the policy."""
        return Shared(shadow=self.shadow, outbox=outbox, numbers=numbers, stripe=number)

    def _make(self, name: str, shared: Shared) -> Any:
        """A fresh machine."""
        raise NotImplementedError

    def _needed(self, machine: Any, now: float) -> bool:
        """Whether a key's machine holds what should not be forgotten."""
        raise NotImplementedError

    def _for_key(self, key: Hashable, shared: Shared) -> Any:
        """A fresh machine for a key."""
        return self._make(self._key_name(key), shared)

    def _key_name(self, key: Hashable) -> str:
        """What a key is called in events and snapshots."""
        return f"{self.name}[{key_label(key, public=self.public_keys)}]"

    # ---------------------------------------------------------- the locks

    def _number(self, key: Hashable) -> int:
        """Which stripe a key is in.

        Raises:
            ConfigurationError: if the key has no hash.
        """
        return 0 if self.key is None else stripe_of(key, len(self._stripes))

    def _lock_at(self, number: int) -> Any:
        """What guards a stripe."""
        return self._lock if self.key is None else self._lock.each[number]

    def _lock_of(self, home: Any) -> Any:
        """What guards the machine that a permit or a place came from; None stands for the only one."""
        return self._lock if home is None else self._lock.each[home.shared.stripe]

    def _reading(self, number: int) -> Any:
        """What a reader of a stripe takes; one in the middle of a decision has a lock and waits for no other."""
        return self._lock_at(number) if self.key is None else self._lock.mine() or self._lock.each[number]

    def _holding(self, act: Callable[[], T]) -> T:
        """Do something that concerns all stripes; in the middle of a decision it may only read, and takes no lock."""
        if self.key is None:
            with self._lock:
                return act()
        mine = self._lock.mine()
        return self._under([self._lock, *self._lock.each] if mine is None else [mine], act)

    def _under(self, locks: list[Any], act: Callable[[], T]) -> T:
        """Do something under these locks, each with a `with` of its own, which no signal handler leaves half done."""
        if not locks:
            return act()
        with locks.pop(0):
            return self._under(locks, act)

    # ---------------------------------------------------------- machines

    def _home(self, key: Hashable, stripe: Stripe, now: float) -> Any:
        """The machine that decides on a key; needs its lock."""
        return self._machine if stripe.table is None else stripe.table.get(key, now)

    def _seen(self, key: Hashable, stripe: Stripe) -> Any:
        """The machine of a key to read from, or None if it has none; needs its lock."""
        return self._machine if stripe.table is None else stripe.table.peek(key)

    def _machines(self) -> Iterator[Any]:
        """All machines; needs all locks. With that of one stripe only, its machines: the others may be in motion."""
        if self.key is None:
            return iter([self._machine])
        tables, mine = self._tables(), self._lock.mine()
        if mine in self._lock.each:
            tables = [tables[self._lock.each.index(mine)]]
        return (machine for table in tables for machine in table.machines())

    def _owner(self, of: Permit | Parked) -> Any:
        """The machine that a permit or a place came from, whatever has become of its key."""
        return self._machine if of.home is None else of.home

    # ------------------------------------------------------------ the line

    def _check(self, ask: Ask) -> None:
        """Refuse what can never be admitted."""

    def _settle(self, now: float) -> None:
        """Take back what quiet paths have not used, as far as a decision needs it; needs the lock."""

    def _offer(self, now: float) -> None:
        """Let quiet paths have what is free; needs the lock."""

    def _reclaim(self, machine: Any, now: float) -> list[Parked]:
        """Find what a signal handler, by raising, has kept from being given back; whom to wake. Needs the lock."""
        del machine, now
        return []

    def _look_again(self, now: float) -> list[Parked]:
        """Somebody has just begun to wait: whom to wake, if something came back meanwhile. Needs the lock."""
        del now
        return []

    def quiet_era(self) -> tuple[int, int]:
        """See `PolicyBase.quiet_era`."""
        return self._epoch, 0 if self._machine is None else self._machine.era

    def enter(self, ask: Ask, make_waiter: Callable[[], Waiter]) -> Permit | Parked | Rejection:
        """A permit, a place in line for a caller who may wait, or a refusal.

        Raises:
            ConfigurationError: if the call asks for more than can ever be had.
        """
        self._check(ask)
        if self._inside():
            return self._amid()
        woken: list[Parked] = []
        number = self._number(ask.key)
        with self._lock_at(number):
            stripe = self._stripes[number]
            now = self.clock.now()  # after the stripe: `rebound` takes both back in the other order
            self._settle(now)
            machine = self._home(ask.key, stripe, now)
            woken = self._reclaim(machine, now)
            granted: Permit | Parked | Rejection = machine.enter(ask, now)
            if not isinstance(granted, Rejection):
                if stripe.table is not None:
                    granted.home = machine
                if isinstance(granted, Parked):
                    granted.waiter = make_waiter()
                    woken += self._look_again(now)
                else:
                    stripe.waits.observe(0.0)
            self._offer(now)
        if woken:
            self._wake(woken)
        self._publish()
        return granted

    def claim(self, place: Parked) -> Permit | Parked | Rejection:
        """What has become of a place."""
        with self._lock_of(place.home):
            now = self.clock.now()
            self._settle(now)
            machine = self._owner(place)
            state: Permit | Parked | Rejection = machine.claim(place, now)
            if isinstance(state, Permit):
                state.home = place.home
                stripe = self._stripes[0 if place.home is None else place.home.shared.stripe]
                stripe.waits.observe(max(0.0, now - place.entered_at))
            moved = machine.moved() if isinstance(state, Rejection) else []
            self._offer(now)
        self._publish()
        if moved:
            self._wake(moved)
        return state

    def abandon(self, place: Parked) -> None:
        """One who waited goes away, perhaps with a permit just given to it: those behind it move up."""
        if self._lock._is_owned():
            self._put_off(self.abandon, place)
            return
        with self._lock_of(place.home):
            now = self.clock.now()
            self._settle(now)
            woken = self._owner(place).abandon(place, now)
            self._offer(now)
        if woken:
            self._wake(woken)
        if self._late or self._outbox:
            self._publish()

    def leave(self, permit: Permit, verdict: Verdict, *, retry_after: float | None = None) -> None:
        """A call has ended."""
        if self._lock._is_owned():
            self._put_off(self.leave, permit, verdict, retry_after=retry_after)
            return
        with self._lock_of(permit.home):
            now = self.clock.now()
            self._settle(now)
            woken = self._owner(permit).leave(permit, verdict, now, retry_after)
            self._offer(now)
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
                with self._lock_of(place.home):
                    left.extend(self._owner(place).abandon(place, self.clock.now()))

    def _change(self, act: Callable[[Any, float], list[Parked]]) -> None:
        """Change every machine, and wake whom that concerns."""
        if self.key is not None and self._inside():
            self._put_off(self._change, act)
            return

        def change() -> list[Parked]:
            now = self.clock.now()
            self._settle(now)
            woken = [place for machine in self._machines() for place in act(machine, now)]
            woken += self._look_again(now)
            self._offer(now)
            return woken

        self._wake(self._holding(change))
        self._publish()

    # ------------------------------------------------------------ the rest

    def _fresh(self) -> dict[str, Any]:
        """See `PolicyBase._fresh`: nobody is in the middle of a decision on any key meanwhile."""
        return self._holding(super()._fresh)

    def after_fork(self) -> None:
        """See `PolicyBase.after_fork`."""
        if self.key is None or not self._made:
            super().after_fork()
            return
        locks: Locks = self._lock
        torn = not all(lock.acquire(blocking=False) for lock in (locks, *locks.each))
        self._lock = self._new_lock()
        self._forking = True  # the locks of the stripes come first
        super().after_fork()
        self._lock = self._new_lock()
        self._forking = False
        if torn:
            self._fresh()
        else:
            self._renew()

    def _renamed(self) -> None:
        if self.key is None:
            self._machine.name = self.name
        else:
            self._holding(self._rename_keys)

    def _rename_keys(self) -> None:
        """The names of keys follow the policy's."""
        for table in self._tables():
            for key, machine in table.items():
                machine.name = self._key_name(key)

    def _renew(self) -> None:
        if self._forking:
            return
        for machine in self._machines():
            machine.renew()
        for stripe in self._stripes:
            stripe.shared.waiting = stripe.shared.inside = 0  # also those of keys that were let go

    def _sum(self, what: Callable[[Shared], int]) -> int:
        """A number over all stripes."""
        return sum(what(stripe.shared) for stripe in self._stripes)

    def _waits_data(self) -> HistogramData:
        """How long callers have waited, over all stripes."""
        from seawall.core.snapshot import HistogramData  # late: loaded when this was made

        each = [stripe.waits.data() for stripe in self._stripes]
        counts = zip(*(one.counts for one in each), strict=True)
        return HistogramData(each[0].bounds, tuple(map(sum, counts)), sum(one.total for one in each))

    def _counters(self) -> dict[str, int]:
        """Counts over all keys, those that were let go included."""
        each = [stripe.shared.counts for stripe in self._stripes]
        counters = {f"requests.{what}": sum(one[what] for one in each) for what in each[0]}
        if self.key is not None:
            counters["keys.evicted"] = sum(table.evicted for table in self._tables())
        return counters

    def _tables(self) -> list[KeyTable[Any]]:
        """Those of the stripes."""
        return [stripe.table for stripe in self._stripes if stripe.table is not None]

    def _busiest(self) -> dict[str, int]:
        """The keys that have asked most, with how often."""
        import heapq  # late: loaded when this was made

        top = heapq.nlargest(BUSIEST, self._machines(), key=lambda machine: machine.asked)
        return {machine.name: machine.asked for machine in top}
