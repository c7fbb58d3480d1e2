"""The state of a rate limit: its own time, and what it holds while somebody waits; small while nobody does.

There may be one for each of a million keys, nearly all of them at rest.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from seawall.machines.shared import Kept, Place, Shared

if TYPE_CHECKING:
    from collections import deque

    from seawall.events.types import RawEvent


class Unrest:
    """What a line holds while it is not at rest.

    Attributes:
        seen: the clock when last looked at.
        skew: by how much it has stepped back so far.
        gate: the dependency asked for a pause until then.
        waiting: who waits, in order.
    """

    __slots__ = ("gate", "seen", "skew", "waiting")

    def __init__(self, seen: float) -> None:
        self.seen = seen
        self.skew = 0.0
        self.gate = -math.inf
        self.waiting: list[Place] = []


class Resting(Kept):
    """The state of a rate limit. Moments are seconds on one clock; a step back is taken as no time passing.

    What one at rest does not need is in `unrest`, or in `shared` for all of them. `key` is a name where there are no
    keys.
    """

    __slots__ = ("asked", "latest", "options", "shared", "unrest")
    options: Any
    unrest: Unrest | None
    unit: ClassVar[float] = 1e-9  #: tokens that rounding may lack
    certain: ClassVar[float] = 0.0  #: the same, where a token may be promised for any later moment

    def __init__(self, key: Hashable, options: Any, shared: Shared | None = None) -> None:
        self.key = key
        self.options = options
        self.shared = shared or Shared()
        self.latest = -math.inf  # our own time when last looked at
        self.unrest = None
        self.asked = 0

    @property
    def name(self) -> str:
        """What it is called in events; not kept, as few keys are ever refused."""
        name_of = self.shared.name_of
        return str(self.key) if name_of is None else name_of(self.key)

    @name.setter
    def name(self, name: str) -> None:
        self.key = name

    @property
    def era(self) -> int:
        """Generation of the state; the same for all keys."""
        return self.shared.era

    @property
    def seen(self) -> float:
        """The clock when last looked at."""
        return self.latest if self.unrest is None else self.unrest.seen

    @property
    def skew(self) -> float:
        """By how much the clock has stepped back so far: our own time never does."""
        return 0.0 if self.unrest is None else self.unrest.skew

    @property
    def gate(self) -> float:
        """The moment until which the dependency asked for a pause."""
        return -math.inf if self.unrest is None else self.unrest.gate

    @gate.setter
    def gate(self, until: float) -> None:
        if self.unrest is not None or until > -math.inf:
            self._stirred().gate = until

    @property
    def waiting(self) -> Sequence[Place]:
        """Who waits, in order."""
        return () if self.unrest is None else self.unrest.waiting

    def _stirred(self) -> Unrest:
        """What is held from now on."""
        if self.unrest is None:
            self.unrest = Unrest(self.latest)
        return self.unrest

    @property
    def counts(self) -> dict[str, int]:
        """Calls by how they fared."""
        return self.shared.counts

    @property
    def outbox(self) -> deque[RawEvent]:
        """Events that are still to be published."""
        return self.shared.outbox

    @property
    def stale_results(self) -> int:
        """Results of calls that an earlier era had admitted."""
        return self.shared.stale_results

    # ------------------------------------------------- the algorithm's part

    @property
    def capacity(self) -> float:
        """The largest cost that can ever be paid."""
        raise NotImplementedError

    def _when(self, cost: float, start: float) -> float:
        """The first moment from `start` on at which `cost` can be taken; changes nothing. Infinite above capacity."""
        raise NotImplementedError

    def _take(self, cost: float, at: float) -> Any:
        """Take it at that moment; returns what `_undo` needs. Moments come in ascending order."""
        raise NotImplementedError

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        """Undo the last `_take` that is left."""
        raise NotImplementedError

    def _give(self, cost: float, at: float, now: float) -> None:
        """Give back what was taken at a moment and not used."""
        raise NotImplementedError

    def _level(self, at: float) -> float:
        """Tokens left at a moment, below zero for what is promised."""
        raise NotImplementedError

    def _empty(self, now: float) -> None:
        """Forget all that was taken."""
        raise NotImplementedError

    def _tune(self, options: Any, now: float) -> None:
        """Settle under the old options and go on under others."""
        raise NotImplementedError

    def _halt(self, start: float, until: float) -> None:
        """The dependency's pause from `start` to `until`; windows pass during it."""

    def _evidence(self, cost: float, start: float) -> dict[str, object]:
        """What a refusal shows."""
        return {"tokens": round(self._level(start), 6), "cost": cost, **self._rates()}

    def _rates(self) -> dict[str, object]:
        """The limit in figures."""
        raise NotImplementedError

    # ---------------------------------------------------------------- time

    def _clock(self, now: float) -> float:
        """Our own time, which stands still when the clock steps back; all that lies ahead stays as far ahead."""
        unrest = self.unrest
        if unrest is None:
            if now >= self.latest:
                self.latest = now
                return now
            unrest = self._stirred()
        if now < unrest.seen:
            by = unrest.seen - now
            unrest.skew += by
            for place in unrest.waiting:
                place.entered_at -= by
                if place.wake_at is not None:
                    place.wake_at = place.until = place.wake_at - by
        unrest.seen = now
        # NB: a sum of floats may miss the moment before by a rounding, and fall into a window that was forgotten
        self.latest = max(self.latest, now + unrest.skew)
        if not (unrest.skew or unrest.waiting or unrest.gate > self.latest):
            self.unrest = None
        return self.latest

    def _close(self, at: float) -> float:
        """What a float cannot tell from this moment."""
        return 4 * math.ulp(abs(at) + self.skew)

    def _start(self, now: float) -> float:
        """From when on somebody new may go: after the pause, and nobody overtakes."""
        unrest = self.unrest
        if unrest is None:
            return now
        start = max(now, unrest.gate)
        return max(start, unrest.waiting[-1].at) if unrest.waiting else start
