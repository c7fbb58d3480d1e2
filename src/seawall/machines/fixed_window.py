"""The fixed window: time is cut into windows [k × window, (k + 1) × window), and each of them sees at most `limit`.

The windows are those of the clock, whoever calls first. Around a boundary twice the limit can go in a short time; with
a limit of 1 the calls stand on an even grid. Those who wait are booked into the windows to come.
"""

from __future__ import annotations

import math

from seawall.machines.shared import WindowOptions, window_of
from seawall.machines.windows import Windows


class FixedWindow(Windows):
    """The state of one limit; see `Line` for what callers ask of it."""

    __slots__ = ()
    before = 0

    def _when(self, cost: float, start: float) -> float:
        limit, window = self.options.limit, self.options.window
        if cost > limit:
            return math.inf
        number = window_of(start, window)
        while self._count(number) + cost > limit + self.unit * max(1.0, limit):
            number += 1
        return max(start, number * window)

    def _level(self, at: float) -> float:
        number = window_of(at, self.options.window)
        ahead = sum(count for other, count in self._counts().items() if other >= number)
        return self.options.limit - ahead

    def _tune(self, options: WindowOptions, now: float) -> None:
        used = self._count(window_of(now, self.options.window))
        self.taken = (window_of(now, options.window), used)
