"""The rate limiter's quiet path: tokens that generated code takes by itself.

Tokens are handed to generated code in advance, as many as may be used at any moment. When each was used is noted;
before the machine decides anything else, what is left is taken back and the machine is told of the rest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import repeat
from types import CellType
from typing import TYPE_CHECKING, Any

from seawall.core.lazy import lazy
from seawall.drive.supply import Supply
from seawall.machines.shared import INSTANT
from seawall.policies.queueing import QueueingPolicy
from seawall.policies.rates import BY_RATE

if TYPE_CHECKING:
    from seawall.core.permit import Permit
    from seawall.drive.call import Resumed
    from seawall.machines.shared import RateOptions, WindowOptions

TOKENS = 1024  #: handed to generated code at a time
_NONE: tuple[tuple[()], tuple[()]] = (), ()  # no tokens, and no notes of them


class RateSupply(QueueingPolicy):
    """What a rate limiter is to generated code."""

    _parts: list[tuple[str, str, RateOptions | WindowOptions]]  # rate, algorithm, options
    _supply: Supply | None = None
    _moments: list[float] = lazy()  # when each token of the supply was used; the past if it is not known yet
    unused: list[None] = lazy()  # tokens that were taken and not used

    def _begin(self) -> dict[str, Any]:
        return {**super()._begin(), "_supply": None, "_moments": [], "unused": []}

    def _state_changed(self) -> None:
        cells = self._cells
        if cells:
            cells["supply"].cell_contents = _NONE

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """See `PolicyBase.quiet_features`: for one token bucket or gcra without keys, whose calls cost 1."""
        del colour
        simple = len(self._parts) == 1 and self._parts[0][1] in BY_RATE
        return frozenset({"tokens"}) if simple and self.key is None and self.cost is None and not self.shadow else None

    def quiet_cells(self) -> dict[str, CellType]:
        """See `PolicyBase.quiet_cells`."""
        with self._lock:
            if not self._cells:
                self._cells = {"supply": CellType()}
                self._state_changed()
            return self._cells

    def quiet_until(self, now: float) -> float:
        """See `PolicyBase.quiet_until`: tokens have their own supply."""
        if self._inside():
            return -math.inf
        with self._lock:
            if self._supply is None:
                self._offer(now)
        return math.inf

    def _put_aside(self) -> None:
        self._settle(self.clock.now())
        super()._put_aside()

    def _settle(self, now: float) -> None:
        supply = self._supply
        if supply is None:
            return
        self._cells["supply"].cell_contents = _NONE
        taken = supply.recall()
        back = min(taken, len(self.unused))
        late = len(self.unused) - back  # taken before the last look
        if late and not self._machine.waiting:
            self._machine.gave_back(late, now)
            del self.unused[:late]
        moments = self._moments[:taken]
        moments.sort()
        count = taken - back
        unknown = bisect_right(moments, -math.inf)  # between a token and its note, or back: now, and not noted later
        if count:
            if unknown or back:
                moments = [*moments[unknown:][-count:], *repeat(now, unknown - back)]
            if count * self._machine.step <= INSTANT:  # it does not matter when each was used
                self._machine.took_at_once(count, moments[-1], now)
            else:
                self._machine.took(moments, now)
        waited = count if self.shape == "queue" else 0
        # NB: no call in these lines, nor at the end of `took`, so no signal handler comes between them
        self._supply = None
        del self.unused[:back]
        self._waits.counts[0] += waited

    def _offer(self, now: float) -> None:
        if self._quiets and self._supply is None and self._machine is not None:
            count = min(TOKENS, self._machine.spare(now))
            if count:
                self._supply = Supply(None, count)
                self._moments = [-math.inf] * count
                self._cells["supply"].cell_contents = self._supply.iterator, self._moments

    def refill(self) -> bool:
        """More tokens for a caller who found none; False if the machine has to be asked."""
        if self._inside():
            return False
        with self._lock:
            if self._supply is None:
                return False
            if not self._supply.left:  # else another thread has been here
                now = self.clock.now()
                self._settle(now)
                self._offer(now)
            return self._supply is not None

    def adopt(self, resumed: Resumed) -> Permit:
        """See `PolicyBase.adopt`."""
        epoch, era = resumed.eras[id(self)]
        with self._lock:
            now = self.clock.now()
            began = now if resumed.began is None else resumed.began
            return self._machine.adopt(era if epoch == self._epoch else 0, 1.0, began, now)  # type: ignore[no-any-return]

    def _renew(self) -> None:
        self._settle(self.clock.now())
        super()._renew()
        if self._machine is not None:
            self._moments, self.unused = [], []
            self._state_changed()
