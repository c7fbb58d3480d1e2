"""The sliding log: no window of time, wherever it begins, sees more than `limit`.

Every call that went is remembered with its moment until the window has passed: what was taken at s counts for all t
with s <= t < s + window. Exact, and as large as the number of calls in a window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from seawall.machines.waiting import Line

if TYPE_CHECKING:
    from seawall.machines.shared import Shared, WindowOptions

SHORT = 64  #: calls up to which a list is the better log: a deque starts with 600 bytes


class SlidingLog(Line):
    """The state of one limit; see `Line` for what callers ask of it."""

    __slots__ = ("log", "total")
    options: WindowOptions
    log: list[tuple[float, float]] | deque[tuple[float, float]]  # moment and cost of each call, ascending
    total: float  # of the costs

    def __init__(self, key: Hashable, options: WindowOptions, shared: Shared | None = None) -> None:
        super().__init__(key, options, shared)
        self._empty(-math.inf)

    @property
    def capacity(self) -> float:
        """The limit of a window."""
        return self.options.limit

    def _clock(self, now: float) -> float:
        at = super()._clock(now)
        log, window, total = self.log, self.options.window, self.total
        gone = 0
        for moment, cost in log:
            if moment + window > at:
                break
            total -= cost
            gone += 1
        if gone == len(log):
            self._empty(at)  # and with it what rounding has left over
        elif isinstance(log, list):
            # NB: no call in these lines, so no signal handler comes between them
            del log[:gone]
            self.total = total
        else:
            for _ in range(gone):
                self.total -= log.popleft()[1]
        return at

    def _when(self, cost: float, start: float) -> float:
        limit, window = self.options.limit, self.options.window
        if cost > limit:
            return math.inf
        over = self.total + cost - limit - self.unit * max(1.0, limit)
        free = start
        for at, taken in self.log:
            if over <= 0:
                break
            over -= taken
            free = at + window
        return max(start, free)

    def _take(self, cost: float, at: float) -> None:
        if self.log:
            at = max(at, self.log[-1][0])
        self.log.append((at, cost))
        self.total += cost
        if isinstance(self.log, list) and len(self.log) > SHORT:
            self.log = deque(self.log)

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        self.total -= self.log.pop()[1]

    def _give(self, cost: float, at: float, now: float) -> None:
        for back, entry in enumerate(reversed(self.log), 1):  # what comes back unsent is young
            if entry == (at, cost):
                del self.log[-back]
                self.total -= cost
                return
            if entry[0] < at:
                return

    def _level(self, at: float) -> float:
        window = self.options.window
        gone = 0.0
        for moment, cost in self.log:
            if moment + window > at:
                break
            gone += cost
        return self.options.limit - self.total + gone

    def _empty(self, now: float) -> None:
        self.log = []
        self.total = 0.0

    def _tune(self, options: WindowOptions, now: float) -> None:
        """What is in the log counts for the new window; what had left the old one is forgotten."""

    def _rates(self) -> dict[str, object]:
        return {"limit": self.options.limit, "window": self.options.window}
