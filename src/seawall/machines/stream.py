"""How long a stream may take to its next item: for the first one, between two, in total, and at a rate.

Time runs only while the stream is being waited for; what the consumer does between two items is not charged. Moments
are therefore seconds of waiting since the attempt began.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

_ROUNDING = 1e-9  # 5 items in 10 s are 0.5 a second, whatever 0.5 × 10 is in floats


class StreamLimits(NamedTuple):
    """Settings; the policy validates them.

    Args:
        total: seconds of waiting in all; None for no limit.
        first_item: seconds until the first item; None leaves it to `idle`.
        idle: seconds between two items, and until the first if `first_item` is None; None for no limit.
        min_rate: items per second that must arrive; None for no limit.
        rate_window: seconds over which the rate is judged, > 0.
    """

    total: float | None = None
    first_item: float | None = None
    idle: float | None = None
    min_rate: float | None = None
    rate_window: float = 10.0


class Limit(NamedTuple):
    """The limit that holds for the next item: which, what it was set to, and how many seconds of it are left."""

    which: str
    seconds: float
    left: float


class StreamTimer:
    """One attempt at a stream."""

    __slots__ = ("_arrivals", "_needed", "items", "limits", "spent")

    def __init__(self, limits: StreamLimits) -> None:
        self.limits = limits
        self.items = 0
        self.spent = 0.0  # seconds of waiting so far
        rate, window = limits.min_rate, limits.rate_window
        # NB: so many items must lie in every window; only the last so many arrivals matter
        self._needed = 0 if rate is None else max(1, math.ceil(rate * window - _ROUNDING))
        self._arrivals: deque[float] = deque(maxlen=self._needed)

    def next_limit(self) -> Limit | None:
        """The limit that would be passed first while waiting for the next item; None if there is none."""
        limits = self.limits
        found: list[Limit] = []
        if limits.total is not None:
            found.append(Limit("timeout", limits.total, limits.total - self.spent))
        if self.items == 0 and limits.first_item is not None:
            found.append(Limit("first item timeout", limits.first_item, limits.first_item - self.spent))
        elif limits.idle is not None:
            found.append(Limit("idle timeout", limits.idle, limits.idle))
        if self._needed:
            full = len(self._arrivals) == self._needed
            since = self._arrivals[0] if full else 0.0
            found.append(Limit("minimum rate", limits.rate_window, since + limits.rate_window - self.spent))
        return min(found, key=lambda limit: limit.left) if found else None

    def waited(self, seconds: float, *, arrived: bool) -> None:
        """So long was waited; `arrived` says whether an item came of it."""
        self.spent += max(0.0, seconds)
        if arrived:
            self.items += 1
            if self._needed:
                self._arrivals.append(self.spent)
