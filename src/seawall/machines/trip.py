"""When a circuit trips: what a rule is, and the one that is used by default; the others are in `trip_windows`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from seawall.core.validate import whole


class Tracker(Protocol):
    """Counts the outcomes of one era and says when the rule is met."""

    def add(self, failed: bool, duration: float, now: float) -> dict[str, Any] | None:
        """Take in one outcome; the evidence if the rule is met now, else None."""

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """Take in many successes none of which is slow, ended before the moment that `quiet_until` gave for `at`."""

    def quiet_until(self, now: float) -> float:
        """Up to which moment no success can meet the rule, however many come; in the past if the next one may."""


class TripRule(Protocol):
    """A condition under which a circuit opens."""

    def tracker(self) -> Tracker:
        """Fresh counts for a new era."""


class ConsecutiveFailures:
    """Trips when `threshold` calls in a row have failed; independent of traffic.

    Args:
        threshold: from 1; 5 by default.
    """

    # no dataclass: the default rule stands on the way of every program, and those take long to load
    __match_args__ = ("threshold",)
    __slots__ = ("_threshold",)

    def __init__(self, threshold: int = 5) -> None:
        whole("ConsecutiveFailures.threshold", threshold, 1)
        self._threshold = threshold

    @property
    def threshold(self) -> int:
        """How many failures in a row trip it."""
        return self._threshold

    def tracker(self) -> Tracker:
        """Fresh counts."""
        return _Consecutive(self._threshold)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConsecutiveFailures) and other._threshold == self._threshold

    def __hash__(self) -> int:
        return hash((ConsecutiveFailures, self._threshold))

    def __repr__(self) -> str:
        return f"ConsecutiveFailures(threshold={self._threshold})"


class _Consecutive:
    """The run of failures so far."""

    __slots__ = ("run", "threshold")

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self.run = 0

    def add(self, failed: bool, duration: float, now: float) -> dict[str, Any] | None:
        """See `Tracker.add`."""
        del duration, now
        self.run = self.run + 1 if failed else 0
        if self.run < self.threshold:
            return None
        return {"rule": "consecutive_failures", "failures": self.run}

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """See `Tracker.add_successes`."""
        del durations, at
        self.run = 0

    def quiet_until(self, now: float) -> float:
        """See `Tracker.quiet_until`."""
        del now
        return math.inf
