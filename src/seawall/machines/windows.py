"""What limits by windows of the clock share: how much was taken from which window [k × window, (k + 1) × window)."""

from __future__ import annotations

import math
from collections.abc import Hashable
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from seawall.machines.shared import WindowOptions, window_of
from seawall.machines.waiting import Line

if TYPE_CHECKING:
    from seawall.machines.shared import Shared

FEW = 2  #: windows of one that nobody waits for


class Windows(Line):
    """A limit that counts by windows; see `Line`.

    What was taken is kept by number of the window, ascending: (number, count, number, count) up to `FEW` windows, which
    takes a quarter of a dictionary's memory, and a dictionary for more, when callers are booked ahead.
    """

    __slots__ = ("taken",)
    before: ClassVar[int]  #: windows before the present one that still count
    options: WindowOptions
    taken: dict[int, float] | tuple[Any, ...]

    def __init__(self, key: Hashable, options: WindowOptions, shared: Shared | None = None) -> None:
        super().__init__(key, options, shared)
        self._empty(-math.inf)

    @property
    def capacity(self) -> float:
        """The limit of a window."""
        return self.options.limit

    def _counts(self) -> dict[int, float]:
        """What was taken, by number of the window."""
        taken = self.taken
        return taken if isinstance(taken, dict) else dict(zip(taken[::2], taken[1::2], strict=True))

    def _count(self, number: int) -> float:
        """What was taken from one window."""
        taken = self.taken
        if isinstance(taken, dict):
            return taken.get(number, 0.0)
        for at in range(0, len(taken), 2):
            if taken[at] == number:
                return float(taken[at + 1])
        return 0.0

    def _keep(self, counts: dict[int, float]) -> None:
        """This was taken."""
        self.taken = counts if len(counts) > FEW else tuple(chain.from_iterable(counts.items()))

    def _clock(self, now: float) -> float:
        at = super()._clock(now)
        taken = self.taken
        if len(taken) > (1 + self.before) * (1 if isinstance(taken, dict) else 2):
            oldest = window_of(at, self.options.window) - self.before
            self._keep({number: count for number, count in self._counts().items() if number >= oldest})
        return at

    def _take(self, cost: float, at: float) -> None:
        number = window_of(at, self.options.window)
        counts = self._counts()
        counts[number] = counts.get(number, 0.0) + cost
        self._keep(counts)

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        self._give(cost, at, at)

    def _give(self, cost: float, at: float, now: float) -> None:
        number = window_of(at, self.options.window)
        counts = self._counts()
        left = counts.get(number, 0.0) - cost
        if left > self.unit:
            counts[number] = left
        else:
            counts.pop(number, None)
        self._keep(counts)

    def _empty(self, now: float) -> None:
        self.taken = ()

    def _rates(self) -> dict[str, object]:
        return {"limit": self.options.limit, "window": self.options.window}
