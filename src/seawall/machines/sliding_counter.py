"""The sliding counter: a window that slides, guessed from two that do not.

At e seconds into the present window, which has seen `curr` after `prev` in the one before, a cost c may go if

    prev × (1 − e / window) + curr + c <= limit

An approximation, as if the calls of the window before had come evenly: two numbers in place of a log. At worst, when
they came in its last moment, a window of time sees up to twice the limit.
"""

from __future__ import annotations

import math

from seawall.machines.shared import WindowOptions, window_of
from seawall.machines.windows import Windows


class SlidingCounter(Windows):
    """The state of one limit; see `Line` for what callers ask of it."""

    __slots__ = ()
    before = 1

    def _when(self, cost: float, start: float) -> float:
        limit, window = self.options.limit, self.options.window
        if cost > limit:
            return math.inf
        number = window_of(start, window)
        while True:
            room = limit - cost - self._count(number)
            before = self._count(number - 1)
            if room >= -self.unit * max(1.0, limit):
                share = (
                    max(0.0, min(1.0, room / before)) if before else 1.0
                )  # of the window before that may still count
                return max(start, (number + (1.0 - share)) * window)
            number += 1

    def _level(self, at: float) -> float:
        number = window_of(at, self.options.window)
        passed = at / self.options.window - number
        ahead = sum(count for other, count in self._counts().items() if other >= number)
        return self.options.limit - self._count(number - 1) * (1.0 - passed) - ahead

    def _tune(self, options: WindowOptions, now: float) -> None:
        used = self.options.limit - self._level(now)
        self.taken = (window_of(now, options.window), used) if used > self.unit else ()
