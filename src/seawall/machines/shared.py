"""What rate limits and bulkheads share that decides nothing: settings, counts, the numbering of refusals."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from seawall.core.permit import Rejection
from seawall.events.types import CallRejected, RawEvent


class RateOptions(NamedTuple):
    """Settings of a limit by rate and burst; the policy validates them.

    Args:
        rate: tokens per second, > 0.
        burst: capacity in tokens; full at the start.
        max_wait: seconds a caller may wait for its tokens; 0 means never.
    """

    rate: float
    burst: float
    max_wait: float = 0.0


class WindowOptions(NamedTuple):
    """Settings of a limit by windows; the policy validates them.

    Args:
        limit: tokens in one window, > 0.
        window: seconds, > 0.
        max_wait: seconds a caller may wait for its tokens; 0 means never.
    """

    limit: float
    window: float
    max_wait: float = 0.0


def window_of(at: float, window: float) -> int:
    """The number of the window that a moment lies in: k for k × window exactly, whatever the division rounds to."""
    number = math.floor(at / window)
    if number * window > at:
        return number - 1
    return number + 1 if (number + 1) * window <= at else number


class Shared:
    """What the machines of one policy have in common, so that it outlives a key: events, their numbers, counts.

    `waiting` and `inside` are numbers of callers now. In shadow mode nobody is refused or waits.
    """

    __slots__ = ("counts", "inside", "number", "outbox", "refused", "shadow", "stale_results", "waiting")

    def __init__(self, *, shadow: bool = False) -> None:
        self.shadow = shadow
        self.refused = "shadow_rejected" if shadow else "rejected"
        self.counts = {"allowed": 0, self.refused: 0}
        self.outbox: deque[RawEvent] = deque()
        self.number = 0
        self.stale_results = 0
        self.waiting = 0
        self.inside = 0

    def reject(
        self, kind: str, name: str, reason: str, retry_after: float | None, evidence: dict[str, object], now: float
    ) -> Rejection:
        """A refusal, counted and reported."""
        self.counts[self.refused] += 1
        self.number += 1
        self.outbox.append((CallRejected, self.number, now, name, kind, reason, retry_after, evidence))
        return Rejection(reason, retry_after, evidence, self.number, name)
