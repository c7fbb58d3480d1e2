"""The part of a circuit breaker that generated code sees: how long successes may wait, and what it may refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seawall.core.lazy import lazy
from seawall.drive.supply import Supply
from seawall.policies.base import MANY, PolicyBase
from seawall.policies.circuit_refusing import Shut

if TYPE_CHECKING:
    from seawall.core.permit import Permit
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Resumed
    from seawall.drive.quiet import Batch
    from seawall.events.types import Refusal
    from seawall.machines.breaker import Breaker
    from seawall.machines.breaker_options import BreakerOptions, Tally
    from seawall.measure.histogram import Histogram
    from seawall.policies.keyed import KeyTable

NUMBERS = 2048  #: of events, that generated code has at a time


class CircuitQuiet(PolicyBase):
    """A circuit breaker on quiet paths; see `drive/quiet.py` and `circuit_refusing.py`."""

    _machine: Breaker = lazy()
    _table: KeyTable[Breaker] | None = None
    _options: BreakerOptions
    _durations: Histogram = lazy()
    _tally: Tally = lazy()
    _classify: Callable[..., Verdict | None] | None

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """See `PolicyBase.quiet_features`: none with keys, in shadow, or with a rule of the user's."""
        del colour
        return None if self.key is not None or self.shadow or self._classify is not None else frozenset({"timed"})

    def quiet_until(self, now: float) -> float:
        """See `PolicyBase.quiet_until`."""
        if self._inside():
            return -math.inf
        with self._lock:
            self._catch_up()
            self._show_shut(now)
            return self._machine.quiet_until(now)

    def quiet_blocked(self) -> bool:
        """See `PolicyBase.quiet_blocked`: as long as it is not closed."""
        return self._machine.state != "closed"

    def _absorb_refusals(self, refusals: Sequence[Refusal]) -> None:
        own, first, last = refusals, refusals[0][2], refusals[-1][2]
        if first is not last or first.owner != self._epoch:  # they come in order, so those between are alike
            own = [one for one in refusals if one[2].owner == self._epoch]
        if own:
            self._tally.counts["rejected"] += len(own)
            self._outbox.append((MANY, own))

    def tell(self) -> None:
        """See `PolicyBase.tell`."""
        with self._lock:
            self._absorb_all()
        self._publish()

    def quiet_slow(self) -> float:
        """See `PolicyBase.quiet_slow`."""
        return min((getattr(rule, "slower_than", math.inf) for rule in self._options.trip), default=math.inf)

    def quiet_era(self) -> tuple[int, int]:
        """See `PolicyBase.quiet_era`."""
        return self._epoch, self._machine.era

    def _absorb(self, batch: Batch) -> None:
        self._durations.add(batch)
        self._machine.succeeded(batch.durations, batch.at)

    def adopt(self, resumed: Resumed) -> Permit:
        """See `PolicyBase.adopt`."""
        epoch, era = resumed.eras[id(self)]
        with self._lock:
            began = self.clock.now() if resumed.began is None else resumed.began
            return self._machine.adopt(era if epoch == self._epoch else 0, began)

    def _bound_quiet(self, now: float) -> None:
        """Say how long successes may be told later now; needs the lock."""
        until = self._machine.quiet_until(now)
        for one in self._quiets:
            quiet = one()
            if quiet is not None:
                quiet.bound(until, now)

    # -------------------------------------------------- refusing by itself

    shut: Shut | None = None  #: what generated code may refuse with; None if it may not
    _shut_until = -math.inf  #: up to when every call is refused, whatever happens; in the past if nobody knows that
    _admits_all = False  #: whether every call is admitted for sure, until the next decision
    _refusing: Supply | None = None

    def _show_shut(self, now: float) -> None:
        """Let generated code refuse by itself while nothing else can come of a call; needs the lock."""
        machine = self._machine
        pin = machine.forced
        until, reason = -math.inf, "open"
        if machine.options.shadow or (self._table is not None and pin is None):
            pass
        elif pin is not None:
            if pin.state == "open":
                until, reason = math.inf if pin.until is None else pin.until, "forced_open"
        elif machine.state == "open":
            until = machine.retry_at
        self._shut_until = until
        self._admits_all = machine.state == "closed" and pin is None and machine.ramp_from is None
        if until <= now or not self._quiets:
            self.shut = None
            return
        evidence = machine.evidence_of_refusal(now)
        self._refusing = supply = Supply(None, NUMBERS, self._tally.number + 1)
        self.shut = Shut(self.name, reason, until, evidence, self.bus.journal, self._epoch, supply.iterator)

    def _recall_numbers(self) -> None:
        """Take back the numbers of events that generated code has not used; needs the lock."""
        supply = self._refusing
        if supply is None:
            return
        self.shut = None
        used = supply.recall()
        # NB: no call in these lines, so no signal handler comes between them
        self._tally.number += used
        self._refusing = None
        self._catch_up()

    def _catch_up(self) -> None:
        self._recall_numbers()
        super()._catch_up()

    def _state_changed(self) -> None:
        self._refusing = None
        self._show_shut(self.clock.now())
