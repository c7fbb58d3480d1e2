"""The bulkhead: so many calls at once, with a bounded queue in front, shared by threads and tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from seawall.core.errors import BulkheadFullError, ConfigurationError
from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, whole
from seawall.machines.bulkhead import BulkheadMachine, BulkheadOptions
from seawall.measure.histogram import Histogram
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Shape


class Bulkhead(PolicyBase):
    """Lets at most `max_concurrent` calls run at once, so that one slow dependency cannot take every worker.

    Threads and tasks of any number of loops stand in one first-come line. A slot is given back on every way out, and a
    cancelled waiter leaves no trace.

    Args:
        max_concurrent: calls at once; from 1.
        queue: places to wait in; from 0, 0 by default.
        max_wait: seconds one may wait in the queue; above 0 where there is one; None leaves it to the deadline.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: M. Nygard, "Release It!". By Little's law `max_concurrent` is about calls per second × their p99.
    """

    kind = "bulkhead"
    rank = 7
    rejection = BulkheadFullError
    shape: Shape = "queue"
    _state = (*PolicyBase._state, "_waits", "_machine")

    def __init__(
        self, max_concurrent: int, *, queue: int = 0, max_wait: float | None = 0.0, name: str | None = None
    ) -> None:
        super().__init__(name)
        whole("Bulkhead.max_concurrent", max_concurrent, 1)
        whole("Bulkhead.queue", queue, 0)
        if max_wait is not None:
            duration("Bulkhead.max_wait", max_wait, zero=True)
        if queue and max_wait == 0:
            raise ConfigurationError(
                f"Bulkhead.queue = {queue}: with max_wait = 0 nobody would ever wait in it; "
                "give max_wait in seconds, or None for as long as the deadline allows"
            )
        self.options = BulkheadOptions(max_concurrent, queue, max_wait)
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._waits = Histogram()
        self._machine = BulkheadMachine(self.name, self.options)
        self._outbox = self._machine.outbox

    def enter(self, ask: Ask, make_waiter: Callable[[], Waiter]) -> Permit | Parked | Rejection:
        """A slot, a place in line, or a refusal."""
        with self._lock:
            granted = self._machine.enter(ask, self.clock.now())
            if isinstance(granted, Parked):
                granted.waiter = make_waiter()
            elif isinstance(granted, Permit):
                self._waits.observe(0.0)
        self._publish()
        return granted

    def claim(self, place: Parked) -> Permit | Parked | Rejection:
        """What has become of a place."""
        with self._lock:
            now = self.clock.now()
            state = self._machine.claim(place, now)
            if isinstance(state, Permit):
                self._waits.observe(now - place.entered_at)
        self._publish()
        return state

    def abandon(self, place: Parked) -> None:
        """One who waited goes away, perhaps with a slot just given to it: the next gets that."""
        if self._lock._is_owned():
            self._put_off(self.abandon, place)
            return
        with self._lock:
            woken = self._machine.abandon(place, self.clock.now())
        if woken:
            self._wake(woken)
        if self._late:
            self._publish()

    def leave(self, permit: Permit, verdict: Verdict, *, retry_after: float | None = None) -> None:
        """A call has ended: its slot goes to the first who waits."""
        if self._lock._is_owned():
            self._put_off(self.leave, permit, verdict, retry_after=retry_after)
            return
        with self._lock:
            woken = self._machine.leave(permit, verdict, self.clock.now(), retry_after)
        if woken:
            self._wake(woken)
        if self._late:
            self._publish()

    def _wake(self, woken: list[Parked]) -> None:
        """Wake those who got a slot; one whose loop is closed is abandoned, and its slot goes on to the next."""
        left = deque(woken)
        while left:  # not by recursion: thousands may have waited on one loop
            place = left.popleft()
            if place.waiter is not None and not place.waiter.wake():
                with self._lock:
                    left.extend(self._machine.abandon(place, self.clock.now()))

    def reset(self) -> None:
        """Nothing to reset: slots are given back by those who hold them."""

    def _renamed(self) -> None:
        self._machine.name = self.name

    def _renew(self) -> None:
        self._machine.renew()

    def snapshot(self) -> PolicySnapshot:
        """The bulkhead at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            machine = self._machine
            snapshot = PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters={f"requests.{what}": count for what, count in machine.counts.items()},
                gauges={
                    "in_flight": len(machine.inside),
                    "limit": self.options.limit,
                    "queued": len(machine.waiting),
                    "oldest": machine.oldest(self.clock.now()),
                },
                histograms={"wait": self._waits.data()},
                details={"options": {"queue": self.options.queue, "max_wait": self.options.max_wait}},
            )
        self._publish()
        return snapshot
