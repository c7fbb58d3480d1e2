"""The bulkhead: so many calls at once, with a bounded queue in front, shared by threads and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.core.errors import BulkheadFullError, ConfigurationError
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, whole
from seawall.machines.bulkhead import BulkheadMachine, BulkheadOptions, Order
from seawall.policies.queueing import QueueingPolicy

if TYPE_CHECKING:
    from seawall.drive.call import KeyRule, Shape


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
        max_keys: keys kept at once, from 1, 10 000 by default; those with somebody inside or waiting go last.
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
        self._begin()

    def _make(self, name: str) -> BulkheadMachine:
        return BulkheadMachine(name, self.options, self._shared)

    def _needed(self, machine: BulkheadMachine, now: float) -> bool:
        return bool(machine.inside or machine.queued)

    def resize(self, max_concurrent: int) -> None:
        """Other slots from now on: more are there at once and wake who waits; fewer as calls end, none is cancelled.

        Raises:
            ConfigurationError: if it is not a whole number from 1.
        """
        whole("Bulkhead.max_concurrent", max_concurrent, 1)
        with self._lock:
            self.options = self.options._replace(limit=max_concurrent)
        self._change(lambda machine, now: machine.resize(max_concurrent, now))

    def reset(self) -> None:
        """Nothing to reset: slots are given back by those who hold them."""

    def snapshot(self) -> PolicySnapshot:
        """The bulkhead at this moment; see `PolicyBase.snapshot`.

        With keys, the sums over all of them, and the largest saturation and ages.
        """
        with self._lock:
            now = self.clock.now()
            machines: list[BulkheadMachine] = list(self._machines())
            options = self.options
            most = max((len(machine.inside) for machine in machines), default=0)
            details: dict[str, Any] = {
                "options": {"queue": options.queue, "max_wait": options.max_wait, "order": options.order}
            }
            if self.shadow:
                details["options"] |= {"shadow": True}
            queue_age = max((machine.queue_age(now) for machine in machines), default=0.0)
            gauges = {
                "in_flight": self._shared.inside,
                "limit": options.limit,
                "queued": self._shared.waiting,
                "oldest": max((machine.oldest(now) for machine in machines), default=0.0),
                "saturation": most / options.limit,
                "queue_age": queue_age,
            }
            if self._table is not None:
                gauges["keys"] = len(self._table)
                details["busiest"] = self._busiest()
            snapshot = PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters=self._counters(),
                gauges=gauges,
                histograms={"wait": self._waits.data()},
                details=details,
            )
        self._publish()
        return snapshot
