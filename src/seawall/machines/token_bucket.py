"""The token bucket: `rate` tokens a second drip into a bucket that holds `burst`; a call takes its cost or waits.

tokens(t) = min(burst, tokens + (t − at) × rate), where `tokens` were there at the moment `at`

`at` lies ahead while callers wait: the debt is the queue.

While the dependency asks for a pause the bucket stands still: nobody goes, no tokens come, and every wait is longer by
the pause. So its end is no stampede, and no span of time sees more than burst + rate × its length, plus what others
gave back unsent in it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

from seawall.machines.shared import STEPS, RateOptions, Shared, latest_start
from seawall.machines.waiting import Line

TokenBucketOptions = RateOptions


class TokenBucket(Line):
    """The state of one bucket; see `Line` for what callers ask of it."""

    __slots__ = ("at", "tokens")
    certain = Line.unit
    options: RateOptions
    tokens: float  # there were so many
    at: float  # at this moment, which lies ahead while callers wait

    def __init__(self, key: Hashable, options: RateOptions, shared: Shared | None = None) -> None:
        super().__init__(key, options, shared)
        self._empty(-math.inf)

    @property
    def capacity(self) -> float:
        """The burst."""
        return self.options.burst

    def _when(self, cost: float, start: float) -> float:
        if cost > self.options.burst:
            return math.inf
        short = cost - self.tokens
        return max(start, self.at + (short / self.options.rate if short > self.unit else 0.0))

    def _take(self, cost: float, at: float) -> tuple[float, float]:
        before = self.tokens, self.at
        self.tokens, self.at = self._level(at) - cost, at
        return before

    def _take_together(self, count: int, moment: float) -> None:
        at = max(self.at, moment)
        self.tokens, self.at = self._level(at) - count, at

    def _take_many(self, moments: Sequence[float]) -> None:
        count = len(moments)
        rate, burst = self.options.rate, self.options.burst
        tokens, at = self.tokens, self.at
        last = max(at, max(moments, default=at))
        if count <= STEPS:
            for moment in moments:
                if moment > at:
                    tokens, at = min(burst, tokens + (moment - at) * rate), moment
                tokens -= 1.0
        elif tokens + (last - at) * rate <= burst:  # never full in between, so it does not matter when
            tokens -= count
        else:
            # debt after n calls = n − rate × (last − when it would have begun), were it never idle since
            began = max(latest_start(moments, 1.0 / rate), at + (burst - tokens) / rate)
            tokens, at = burst - max(0.0, count - (last - began) * rate), last
        self.tokens, self.at = tokens, at

    def _undo(self, cost: float, at: float, mark: Any) -> None:
        self.tokens, self.at = mark

    def _give(self, cost: float, at: float, now: float) -> None:
        now = max(now, self.at)
        self.tokens, self.at = min(self.options.burst, self._level(now) + cost), now

    def _level(self, at: float) -> float:
        if at == self.at:
            return self.tokens
        return min(self.options.burst, self.tokens + (at - self.at) * self.options.rate)

    def _empty(self, now: float) -> None:
        self.tokens, self.at = float(self.options.burst), now

    def _halt(self, start: float, until: float) -> None:
        self.tokens, self.at = self._level(start), until

    def _tune(self, options: RateOptions, now: float) -> None:
        now = max(now, self.at)
        self.tokens, self.at = min(options.burst, self._level(now)), now

    def _rates(self) -> dict[str, object]:
        return {"per_second": self.options.rate}
