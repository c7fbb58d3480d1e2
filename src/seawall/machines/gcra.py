"""The generic cell rate algorithm: a token bucket in one number, the theoretical arrival time (TAT).

With a rate r, T = 1/r and a burst B, for a cost c at the moment t:

    new = max(t, TAT) + c × T;  allow_at = new − B × T;  go if t >= allow_at, and then TAT = new

A denied request does not move TAT. A pause of the dependency moves it by the pause, so the limit stands still as the
token bucket does.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from seawall.machines.shared import STEPS, latest_start
from seawall.machines.waiting import Line

if TYPE_CHECKING:
    from seawall.machines.shared import RateOptions, Shared


class Gcra(Line):
    """The state of one limit; see `Line` for what callers ask of it."""

    __slots__ = ("tat",)
    certain = Line.unit
    options: RateOptions

    def __init__(self, key: Hashable, options: RateOptions, shared: Shared | None = None) -> None:
        super().__init__(key, options, shared)
        self.tat = -math.inf

    @property
    def capacity(self) -> float:
        """The burst."""
        return self.options.burst

    def _when(self, cost: float, start: float) -> float:
        rate, burst = self.options.rate, self.options.burst
        if cost > burst:
            return math.inf
        moment = self.tat + (cost - burst) / rate
        return start if moment - start <= self.unit / rate else moment

    def _take(self, cost: float, at: float) -> float:
        before = self.tat
        self.tat = max(at, self.tat) + cost / self.options.rate
        return before

    def _take_together(self, count: int, moment: float) -> None:
        self.tat = max(moment, self.tat) + count / self.options.rate

    def _take_many(self, moments: Sequence[float]) -> None:
        step = 1.0 / self.options.rate
        tat = self.tat
        if len(moments) <= STEPS:
            for moment in moments:
                tat = max(moment, tat) + step
        else:
            tat = max(tat, latest_start(moments, step)) + len(moments) * step
        self.tat = tat

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        self.tat = mark

    def _give(self, cost: float, at: float, now: float) -> None:
        self.tat -= cost / self.options.rate

    def _level(self, at: float) -> float:
        return self.options.burst - max(0.0, self.tat - at) * self.options.rate

    def _empty(self, now: float) -> None:
        self.tat = -math.inf

    def _halt(self, start: float, until: float) -> None:
        self.tat = until + max(0.0, self.tat - start)

    def _tune(self, options: RateOptions, now: float) -> None:
        now = max(now, self.gate)
        # tokens that are out stay out, but no more than there can be
        self.tat = now + (options.burst - min(options.burst, self._level(now))) / options.rate

    def _rates(self) -> dict[str, object]:
        return {"per_second": self.options.rate}
