"""The part of a circuit breaker that generated code sees: how long successes may wait, and what it may refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import CellType
from typing import TYPE_CHECKING

from seawall.core.lazy import lazy
from seawall.drive.supply import Supply
from seawall.policies.base import MANY, PolicyBase
from seawall.policies.circuit_refusing import Shut

if TYPE_CHECKING:
    from seawall.core.permit import Permit
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Resumed
    from seawall.drive.quiet import Batch, Refusal
    from seawall.machines.breaker import Breaker
    from seawall.machines.breaker_options import BreakerOptions, Tally
    from seawall.measure.histogram import Histogram
    from seawall.policies.keyed import KeyTable

NUMBERS = 128  #: of events, that generated code has at a time


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

    def quiet_cells(self) -> dict[str, CellType]:
        """See `PolicyBase.quiet_cells`."""
        with self._lock:
            if not self._cells and self.key is None:
                self._cells = {"shut": CellType(-math.inf), "numbers": CellType(()), "by": CellType(None)}
            return self._cells

    def _absorb_refusals(self, refusals: Sequence[Refusal]) -> None:
        own = [raw for raw in refusals if raw[4].owner == self._epoch]
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

    _shut_until = -math.inf  #: up to when every call is refused, whatever happens; in the past if nobody knows that
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
        cells = self._cells
        if not cells:
            return
        if until <= now:
            cells["shut"].cell_contents = -math.inf
            return
        evidence = machine.evidence_of_refusal(now)
        cells["by"].cell_contents = Shut(self.name, reason, until, evidence, self.bus.journal, self._epoch)
        self._refusing = Supply(None, NUMBERS, self._tally.number + 1)
        cells["numbers"].cell_contents = self._refusing.iterator
        cells["shut"].cell_contents = until

    def _recall_numbers(self) -> None:
        """Take back the numbers of events that generated code has not used; needs the lock."""
        supply = self._refusing
        if supply is None:
            return
        self._cells["shut"].cell_contents = -math.inf
        self._cells["numbers"].cell_contents = ()
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
