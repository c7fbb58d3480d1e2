"""The sliding counter: a window that slides, guessed from two that do not.

At e seconds into the present window, which has seen `curr` after `prev` in the one before, a cost c may go if

    prev × (1 − e / window) + curr + c <= limit

An approximation, as if the calls of the window before had come evenly: two numbers in place of a log. At worst, when
they came in its last moment, a window of time sees up to twice the limit.
"""

from __future__ import annotations

import math
from typing import Any

from seawall.machines.shared import Shared, WindowOptions, window_of
from seawall.machines.waiting import Line


class SlidingCounter(Line):
    """The state of one limit; see `Line` for what callers ask of it."""

    __slots__ = ("taken",)
    options: WindowOptions
    taken: dict[int, float]  # by number of the window, ascending

    def __init__(self, name: str, options: WindowOptions, shared: Shared | None = None) -> None:
        super().__init__(name, options, shared)
        self._empty(-math.inf)

    @property
    def capacity(self) -> float:
        """The limit of a window."""
        return self.options.limit

    def _clock(self, now: float) -> float:
        at = super()._clock(now)
        if len(self.taken) > 2:
            before = window_of(at, self.options.window) - 1
            while self.taken and (oldest := next(iter(self.taken))) < before:
                del self.taken[oldest]
        return at

    def _when(self, cost: float, start: float) -> float:
        limit, window = self.options.limit, self.options.window
        if cost > limit:
            return math.inf
        number = window_of(start, window)
        while True:
            room = limit - cost - self.taken.get(number, 0.0)
            before = self.taken.get(number - 1, 0.0)
            if room >= -self.unit * max(1.0, limit):
                share = (
                    max(0.0, min(1.0, room / before)) if before else 1.0
                )  # of the window before that may still count
                return max(start, (number + (1.0 - share)) * window)
            number += 1

    def _take(self, cost: float, at: float) -> None:
        number = window_of(at, self.options.window)
        self.taken[number] = self.taken.get(number, 0.0) + cost

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        self._give(cost, at, at)

    def _give(self, cost: float, at: float, now: float) -> None:
        number = window_of(at, self.options.window)
        left = self.taken.get(number, 0.0) - cost
        if left > self.unit:
            self.taken[number] = left
        else:
            self.taken.pop(number, None)

    def _level(self, at: float) -> float:
        number = window_of(at, self.options.window)
        passed = at / self.options.window - number
        ahead = sum(count for other, count in self.taken.items() if other >= number)
        return self.options.limit - self.taken.get(number - 1, 0.0) * (1.0 - passed) - ahead

    def _empty(self, now: float) -> None:
        self.taken = {}

    def _tune(self, options: WindowOptions, now: float) -> None:
        used = self.options.limit - self._level(now)
        self.taken = {window_of(now, options.window): used} if used > self.unit else {}

    def _rates(self) -> dict[str, object]:
        return {"limit": self.options.limit, "window": self.options.window}
