"""The retry budget: in any window, retries and hedges are at most a share of the first attempts, or a small minimum.

allowed(now) = max(minimum, floor × window) + ratio × first attempts in the window − retries booked in the window

First attempts are never refused. So a dependency that fails for everybody sees at most 1 + ratio times its ordinary
load, and a caller with little traffic can still retry.

Source: Finagle's `RetryBudget` (token form, with a time to live); Envoy's and Failsafe's budgets by concurrency.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_BUCKETS = 10


class RetryBudgetOptions(NamedTuple):
    """Settings of a budget; its owner validates them.

    Args:
        ratio: retries for each first attempt, from 0.
        floor: retries per second that are allowed without any first attempt, from 0.
        window: seconds that are looked at, > 0.
        minimum: retries within the window that are always allowed, if that is more than the floor gives.
    """

    ratio: float = 0.2
    floor: float = 0.1
    window: float = 10.0
    minimum: float = 0.0


class RetryBudgetMachine:
    """Counts of one budget in ten buckets aligned to the clock; memory does not grow with traffic."""

    __slots__ = ("_buckets", "_deposits", "_withdrawals", "counts", "options")

    def __init__(self, options: RetryBudgetOptions) -> None:
        self.options = options
        self._buckets: deque[list[int]] = deque()  # [index, deposits, withdrawals], oldest first
        self._deposits = 0  # in the window
        self._withdrawals = 0
        self.counts = {"deposits": 0, "withdrawals": 0, "refused": 0}

    def deposit(self, now: float) -> None:
        """A first attempt was made."""
        self._bucket(now)[1] += 1
        self._deposits += 1
        self.counts["deposits"] += 1

    def deposit_late(self, at: float, count: int) -> None:
        """So many first attempts were made in the bucket of a moment that may have passed."""
        self.counts["deposits"] += count
        index = int(at // (self.options.window / _BUCKETS))
        buckets = self._buckets
        place = len(buckets)
        while place and buckets[place - 1][0] > index:
            place -= 1
        if place and buckets[place - 1][0] == index:
            buckets[place - 1][1] += count
        elif buckets and buckets[-1][0] - index >= _BUCKETS:
            return  # it has left the window
        else:
            buckets.insert(place, [index, count, 0])
        self._deposits += count

    def steady_until(self, now: float) -> float:
        """The moment at which the bucket of `now` ends."""
        width = self.options.window / _BUCKETS
        return (now // width + 1) * width * (1 - 1e-15)

    def withdraw(self, now: float) -> bool:
        """Book one retry; False, and nothing is booked, if the budget is spent."""
        if self.balance(now) < 1.0 - 1e-9:  # five deposits of 0.2 make one, whatever floats say
            self.counts["refused"] += 1
            return False
        self._bucket(now)[2] += 1
        self._withdrawals += 1
        self.counts["withdrawals"] += 1
        return True

    def refund(self, now: float) -> None:
        """A booked retry was not sent: the newest booking that is still in the window is taken back."""
        self._expire(now)
        for bucket in reversed(self._buckets):
            if bucket[2]:
                bucket[2] -= 1
                self._withdrawals -= 1
                self.counts["withdrawals"] -= 1
                return

    def balance(self, now: float) -> float:
        """Retries that could be booked at `now`."""
        self._expire(now)
        options = self.options
        least = max(options.minimum, options.floor * options.window)
        return least + options.ratio * self._deposits - self._withdrawals

    def _bucket(self, now: float) -> list[int]:
        """The newest bucket; a clock that went back adds to it."""
        self._expire(now)
        index = int(now // (self.options.window / _BUCKETS))
        if not self._buckets or self._buckets[-1][0] < index:
            self._buckets.append([index, 0, 0])
        return self._buckets[-1]

    def _expire(self, now: float) -> None:
        """Drop what lies wholly before the window."""
        oldest = int(now // (self.options.window / _BUCKETS)) - _BUCKETS
        while self._buckets and self._buckets[0][0] <= oldest:
            _, deposits, withdrawals = self._buckets.popleft()
            self._deposits -= deposits
            self._withdrawals -= withdrawals
