"""The fixed window: time is cut into windows [k × window, (k + 1) × window), and each of them sees at most `limit`.

The windows are those of the clock, whoever calls first. Around a boundary twice the limit can go in a short time; with
a limit of 1 the calls stand on an even grid. Those who wait are booked into the windows to come.
"""

from __future__ import annotations

import math
from typing import Any

from seawall.machines.shared import Shared, WindowOptions, window_of
from seawall.machines.waiting import Line


class FixedWindow(Line):
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
        if len(self.taken) > 1:
            current = window_of(at, self.options.window)
            while self.taken and (oldest := next(iter(self.taken))) < current:
                del self.taken[oldest]
        return at

    def _when(self, cost: float, start: float) -> float:
        limit, window = self.options.limit, self.options.window
        if cost > limit:
            return math.inf
        number = window_of(start, window)
        while self.taken.get(number, 0.0) + cost > limit + self.unit * max(1.0, limit):
            number += 1
        return max(start, number * window)

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
        ahead = sum(count for other, count in self.taken.items() if other > number)
        return self.options.limit - self.taken.get(number, 0.0) - ahead

    def _empty(self, now: float) -> None:
        self.taken = {}

    def _tune(self, options: WindowOptions, now: float) -> None:
        used = self.taken.get(window_of(now, self.options.window), 0.0)
        self.taken = {window_of(now, options.window): used}

    def _rates(self) -> dict[str, object]:
        return {"limit": self.options.limit, "window": self.options.window}
