"""The bulkhead: so many calls at once, with a bounded queue in front, shared by threads and tasks."""

from __future__ import annotations

import math
from types import CellType
from typing import TYPE_CHECKING, Any

from seawall.core.errors import BulkheadFullError, ConfigurationError
from seawall.core.lazy import lazy
from seawall.core.permit import Permit, unheld
from seawall.core.validate import duration, whole
from seawall.core.verdict import Verdict
from seawall.policies.queueing import QueueingPolicy

if TYPE_CHECKING:
    from seawall.core.permit import Parked
    from seawall.core.snapshot import PolicySnapshot
    from seawall.drive.call import Resumed
    from seawall.drive.protocols import KeyRule, Shape
    from seawall.drive.quiet import Batch
    from seawall.machines.bulkhead import BulkheadMachine, Order
    from seawall.machines.shared import Shared

LENT_AT_ONCE = 16  #: slots lent to generated code when it has no free one; or as many as it has, if that is more


class Bulkhead(QueueingPolicy):
    """Lets at most `max_concurrent` calls run at once, so that one slow dependency cannot take every worker.

    Threads and tasks of any number of loops stand in one line. A slot is given back on every way out, and a cancelled
    waiter leaves no trace. Once ten calls have ended, a caller is refused at entry if its deadline comes before
    position × mean service time / `max_concurrent` seconds have passed.

    Args:
        max_concurrent: calls at once; from 1.
        queue: places to wait in; from 0, 0 by default.
        max_wait: seconds one may wait in the queue; above 0 where there is one; None leaves it to the deadline.
        order: who is served next: "fifo" (default), "lifo", or "adaptive": the first come, until somebody has been
            waiting without a break for 1 s, then the last come until the queue is empty. Those who came first in an
            overload have mostly been given up by their own callers.
        refuse_early: True refuses also at entry when the expected wait is above `max_wait`; by default (False) that
            bound holds for real waits only, as the estimate may be wrong.
        key: the name of an argument of the protected function, or a function of its arguments: a bulkhead for each
            value.
        max_keys: keys kept at once, from 1, 10 000 by default; those with somebody inside or waiting go last. From
            1 024 on, a sixteenth of the keys, by their hash, has a sixteenth of the room and a lock of its own.
        key_ttl: seconds after which an unused key is forgotten, above 0, an hour by default.
        public_keys: whether keys may be written down; by default events and metrics show a hash.
        shadow: True decides, counts and reports, but lets everybody through.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    Source: M. Nygard, "Release It!". By Little's law `max_concurrent` is about calls per second × their p99.
    """

    kind = "bulkhead"
    rank = 7
    rejection = BulkheadFullError
    shape: Shape = "queue"

    def __init__(
        self,
        max_concurrent: int,
        *,
        queue: int = 0,
        max_wait: float | None = 0.0,
        order: Order = "fifo",
        refuse_early: bool = False,
        key: KeyRule | None = None,
        max_keys: int = 10_000,
        key_ttl: float = 3600.0,
        public_keys: bool = False,
        shadow: bool = False,
        name: str | None = None,
    ) -> None:
        from seawall.machines.bulkhead import BulkheadOptions  # late: nothing but a bulkhead needs it

        super().__init__(name, key=key, max_keys=max_keys, key_ttl=key_ttl, public_keys=public_keys, shadow=shadow)
        whole("Bulkhead.max_concurrent", max_concurrent, 1)
        whole("Bulkhead.queue", queue, 0)
        if max_wait is not None:
            duration("Bulkhead.max_wait", max_wait, zero=True)
        if queue and max_wait == 0:
            raise ConfigurationError(
                f"Bulkhead.queue = {queue}: with max_wait = 0 nobody would ever wait in it; "
                "give max_wait in seconds, or None for as long as the deadline allows"
            )
        if order not in {"fifo", "lifo", "adaptive"}:
            raise ConfigurationError(f'Bulkhead.order = {order!r}: must be "fifo", "lifo" or "adaptive"')
        if order != "fifo" and not queue:
            raise ConfigurationError(f"Bulkhead.order = {order!r}: has no meaning without a queue; give queue = 50")
        if not isinstance(refuse_early, bool):
            raise ConfigurationError(f"Bulkhead.refuse_early = {refuse_early!r}: must be True or False")
        if refuse_early and not max_wait:
            raise ConfigurationError(
                f"Bulkhead.refuse_early = True: has no meaning with max_wait = {max_wait!r}; give max_wait in seconds"
            )
        self.options = BulkheadOptions(max_concurrent, queue, max_wait, order, refuse_early)

    # --------------------------------------------------------- quiet path
    #
    # Free slots are lent to generated code as numbers in a list, as many again as are in use. Its `pop` and `append`
    # are one step each, with and without a GIL. A slot is in use while it is not in the list. Who parks says so first
    # and then looks into the list once more; who gives a slot back puts it there first and then looks whether anybody
    # waits. So one of them sees the other.

    _free: list[int] = lazy()
    _unused: list[int] = lazy()  # numbers that the machine itself has
    _starts: list[float] = lazy()  # when the call in each slot began
    _waiting = False  # whether somebody is; those on quiet paths end in another era then, and come to `attend`

    def _begin(self) -> dict[str, Any]:
        return {**super()._begin(), "_free": [], "_unused": [], "_starts": [0.0]}

    def _state_changed(self) -> None:
        cells = self._cells
        if cells:
            cells["room"].cell_contents = iter(self._free.pop, 0), self._free, self._starts
            self._waiting = False

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """See `PolicyBase.quiet_features`: none with keys or in shadow."""
        del colour
        return None if self.key is not None or self.shadow else frozenset({"slots", "eras"})

    def quiet_cells(self) -> dict[str, CellType]:
        """See `PolicyBase.quiet_cells`."""
        with self._lock:
            if not self._cells:
                self._cells = {"room": CellType()}
                self._state_changed()
            return self._cells

    def quiet_until(self, now: float) -> float:
        """See `PolicyBase.quiet_until`: nobody overtakes those who wait."""
        if self._inside():
            return -math.inf
        with self._lock:
            self._offer(now)
            return -math.inf if self._machine.queued else math.inf

    def _take_back(self) -> bool:
        """One slot from generated code; False if all that it has are in use. Needs the lock."""
        machine = self._machine
        try:
            for number in self._cells["room"].cell_contents[0]:
                # NB: no call in these lines, so no signal handler comes between them
                self._unused += [number]
                machine.lent -= 1
                return True
        except IndexError:
            pass
        return False

    def _settle(self, now: float) -> None:
        machine = self._machine
        if machine is not None and machine.lent and machine.room <= 0:
            self._catch_up()  # how long calls take decides who may wait
            if not machine.queued:
                self._take_back()

    def _reclaim(self, machine: BulkheadMachine, now: float) -> list[Parked]:
        if machine.room > 0 and not machine.queued:
            return []
        woken: list[Parked] = []
        for lost in unheld(machine.inside.values()):
            woken += machine.leave(lost, Verdict.UNSENT, now)
        return woken or machine.fill(now)

    def _look_again(self, now: float) -> list[Parked]:
        machine = self._machine
        woken: list[Parked] = []
        if machine is None or not machine.lent:
            return woken
        self._waiting = True
        self._disturb()
        while (machine.queued or machine.room < 0) and self._take_back():
            woken += machine.fill(now)
        return woken

    def _offer(self, now: float) -> None:
        machine = self._machine
        if not self._quiets or machine is None:
            return
        waiting = bool(machine.queued) or machine.room < 0
        self._waiting = waiting
        if waiting:
            return
        free, unused = self._free, self._unused
        if free:
            return
        for _ in range(min(machine.room, max(LENT_AT_ONCE, machine.lent))):
            number = unused[-1] if unused else len(self._starts)
            # NB: no call in these lines, so no signal handler comes between them
            if unused:
                del unused[-1]
            else:
                self._starts += [0.0]
            machine.lent += 1
            free += [number]

    def attend(self) -> None:
        """A slot has come back: if somebody is waiting, it goes to the next in line."""
        if not self._waiting:
            return
        if self._lock._is_owned():
            self._put_off(self.attend)
            return
        with self._lock:
            now = self.clock.now()
            woken = self._look_again(now)
            self._offer(now)
        if woken:
            self._wake(woken)
        self._publish()

    def adopt(self, resumed: Resumed) -> Permit:
        """See `PolicyBase.adopt`."""
        epoch, era = resumed.eras[id(self)]
        began = self.clock.now() if resumed.began is None else resumed.began
        with self._lock:
            self._waits.observe(0.0)
        return Permit(0, era if epoch == self._epoch else 0, "quiet", began)

    def _absorb(self, batch: Batch) -> None:
        self._waits.counts[0] += batch.count
        self._machine.passed(batch.durations)

    def _in_use(self) -> list[float]:
        """Since when the slots are in use that generated code has; needs the lock."""
        free = set(self._free)
        free.update(self._unused)
        return [began for number, began in enumerate(self._starts) if number and number not in free]

    def _renew(self) -> None:
        super()._renew()
        if self._machine is not None:
            self._free, self._unused, self._starts = [], [], [0.0]
            self._state_changed()

    def _make(self, name: str, shared: Shared) -> BulkheadMachine:
        from seawall.machines.bulkhead import BulkheadMachine  # late: loaded when this was made

        return BulkheadMachine(name, self.options, shared)

    def _needed(self, machine: BulkheadMachine, now: float) -> bool:
        return bool(machine.inside or machine.queued)

    def resize(self, max_concurrent: int) -> None:
        """Other slots from now on: more are there at once and wake who waits; fewer as calls end, none is cancelled.

        Raises:
            ConfigurationError: if it is not a whole number from 1.
        """
        whole("Bulkhead.max_concurrent", max_concurrent, 1)
        self.options = self.options._replace(limit=max_concurrent)
        self._change(lambda machine, now: machine.resize(max_concurrent, now))

    def reset(self) -> None:
        """Nothing to reset: slots are given back by those who hold them."""

    def snapshot(self) -> PolicySnapshot:
        """The bulkhead at this moment; see `PolicyBase.snapshot`.

        With keys, the sums over all of them, and the largest saturation and ages.
        """
        woken, snapshot = self._holding(self._snapshot)
        if woken:
            self._wake(woken)
        self._publish()
        return snapshot

    def _snapshot(self) -> tuple[list[Parked], PolicySnapshot]:
        """The same, and whom to wake; needs all locks."""
        from seawall.core.snapshot import PolicySnapshot  # late: loaded when this was made

        woken: list[Parked] = []
        now = self.clock.now()
        self._catch_up()
        machines: list[BulkheadMachine] = list(self._machines())
        for machine in machines:
            for lost in unheld(machine.inside.values()):
                woken += machine.leave(lost, Verdict.UNSENT, now)
        options = self.options
        lent = self._in_use()
        inside = self._sum(lambda one: one.inside) + len(lent)
        most = max((len(machine.inside) for machine in machines), default=0) + len(lent)
        oldest = max((machine.oldest(now) for machine in machines), default=0.0)
        oldest = max(oldest, *(now - began for began in lent if began), 0.0)
        details: dict[str, Any] = {
            "options": {"queue": options.queue, "max_wait": options.max_wait, "order": options.order}
        }
        if self.shadow:
            details["options"] |= {"shadow": True}
        queue_age = max((machine.queue_age(now) for machine in machines), default=0.0)
        gauges = {
            "in_flight": inside,
            "limit": options.limit,
            "queued": self._sum(lambda one: one.waiting),
            "oldest": oldest,
            "saturation": most / options.limit,
            "queue_age": queue_age,
        }
        if self.key is not None:
            gauges["keys"] = sum(map(len, self._tables()))
            details["busiest"] = self._busiest()
        counters = self._counters()
        counters["requests.allowed"] += len(lent)  # the others are counted when they have ended
        waits = self._waits_data()
        waits = waits._replace(counts=(waits.counts[0] + len(lent), *waits.counts[1:]))
        snapshot = PolicySnapshot(
            kind=self.kind,
            name=self.name,
            pipelines=self.pipelines,
            counters=counters,
            gauges=gauges,
            histograms={"wait": waits},
            details=details,
        )
        return woken, snapshot
