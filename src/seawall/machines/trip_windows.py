"""Rules for when a circuit trips that look at a window of calls, and the counts each of them keeps."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration, number, whole
from seawall.measure.windows import CountWindow, TimeWindow, TumblingWindow

if TYPE_CHECKING:
    from seawall.machines.trip import Tracker


@dataclass(frozen=True, slots=True)
class FailureCount:
    """Trips when `threshold` calls have failed within `window` seconds, successes between them notwithstanding.

    A failure counts while it is younger than `window`: one that is exactly `window` old has left.

    Args:
        threshold: from 1.
        window: seconds, > 0; 60 by default.
    """

    threshold: int
    window: float = 60.0

    def __post_init__(self) -> None:
        whole("FailureCount.threshold", self.threshold, 1)
        duration("FailureCount.window", self.window)

    def tracker(self) -> Tracker:
        """Fresh counts."""
        return _Count(self.threshold, self.window)


class _Count:
    """The moments of the last `threshold` failures: exact, and never more than that many."""

    __slots__ = ("failures", "threshold", "window")

    def __init__(self, threshold: int, window: float) -> None:
        self.threshold = threshold
        self.window = window
        self.failures: deque[float] = deque(maxlen=threshold)

    def add(self, failed: bool, duration: float, now: float) -> dict[str, Any] | None:
        """See `Tracker.add`."""
        del duration
        if not failed:
            return None
        self.failures.append(now)
        if len(self.failures) < self.threshold or now - self.failures[0] >= self.window:
            return None
        return {"rule": "failure_count", "failures": self.threshold, "window": self.window}

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """See `Tracker.add_successes`."""

    def quiet_until(self, now: float) -> float:
        """See `Tracker.quiet_until`."""
        del now
        return math.inf


@dataclass(frozen=True, slots=True)
class FailureRate:
    """Trips when the share of failed calls reaches `rate`, once `min_calls` are in the window.

    Args:
        rate: 0 < rate <= 1; reached means `>=`.
        window: seconds of a time window in ten buckets; 30 by default. Not used when `calls` is given.
        calls: size of a window of the last calls, instead of time.
        tumbling: True for a time window that is cleared as a whole when it ends, instead of one that slides.
        min_calls: judge only from this many calls on; 10 by default, as Python services often see little traffic; at
            most `calls`.
    """

    rate: float = 0.5
    window: float = 30.0
    calls: int | None = None
    min_calls: int = 10
    tumbling: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        _check_rate(self)

    def tracker(self) -> Tracker:
        """Fresh counts."""
        return _Rate(self, None)

    def __str__(self) -> str:
        return _words(self)


@dataclass(frozen=True, slots=True)
class SlowRate:
    """Trips when the share of calls that took longer than `slower_than` reaches `rate`, failed ones included.

    Args:
        rate: 0 < rate <= 1; reached means `>=`.
        slower_than: seconds; exactly that long is not slow.
        window, calls, min_calls, tumbling: as for `FailureRate`.
    """

    rate: float = 0.5
    slower_than: float = 1.0
    window: float = 30.0
    calls: int | None = None
    min_calls: int = 10
    tumbling: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        _check_rate(self)
        duration("SlowRate.slower_than", self.slower_than)

    def tracker(self) -> Tracker:
        """Fresh counts."""
        return _Rate(self, self.slower_than)

    def __str__(self) -> str:
        return _words(self)


def _words(rule: FailureRate | SlowRate) -> str:
    """A rule as code would say it; the rare kind of window only where it is meant."""
    return f"{repr(rule)[:-1]}, tumbling=True)" if rule.tumbling else repr(rule)


def _check_rate(rule: FailureRate | SlowRate) -> None:
    """Validate what both rate rules share."""
    where = type(rule).__name__
    number(f"{where}.rate", rule.rate, above=True, most=1.0)
    duration(f"{where}.window", rule.window)
    whole(f"{where}.min_calls", rule.min_calls, 1)
    if rule.calls is not None and rule.tumbling:
        raise ConfigurationError(f"{where}.tumbling = True beside calls = {rule.calls}: only a time window can tumble")
    if rule.calls is not None:
        whole(f"{where}.calls", rule.calls, 1)
        if rule.min_calls > rule.calls:
            raise ConfigurationError(
                f"{where}.min_calls = {rule.min_calls}: a window of calls = {rule.calls} never holds as many; "
                f"use min_calls <= {rule.calls}"
            )


class _Rate:
    """A window of outcomes judged by the share of failed or slow ones."""

    __slots__ = ("limit", "min_calls", "seconds", "slower_than", "window")

    def __init__(self, rule: FailureRate | SlowRate, slower_than: float | None) -> None:
        self.limit = rule.rate
        self.min_calls = rule.min_calls
        self.slower_than = slower_than
        self.seconds = None if rule.calls else rule.window
        self.window: CountWindow | TimeWindow | TumblingWindow
        if rule.calls:
            self.window = CountWindow(rule.calls)
        else:
            self.window = TumblingWindow(rule.window) if rule.tumbling else TimeWindow(rule.window)

    def add(self, failed: bool, duration: float, now: float) -> dict[str, Any] | None:
        """See `Tracker.add`."""
        slow = self.slower_than is not None and duration > self.slower_than
        self.window.add(failed, slow, duration, now)
        counts = self.window.counts(now)
        hits = counts.failures if self.slower_than is None else counts.slow
        # divided and not multiplied: 7 of 100 is 0.07 in floats too, but 0.07 * 100 is more than 7
        if counts.calls < self.min_calls or hits / counts.calls < self.limit:
            return None
        return {
            "rule": "failure_rate" if self.slower_than is None else "slow_rate",
            "calls": counts.calls,
            "failures": counts.failures,
            "slow": counts.slow,
            "window": self.seconds,
        }

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """See `Tracker.add_successes`."""
        self.window.add_successes(durations, at)

    def quiet_until(self, now: float) -> float:
        """See `Tracker.quiet_until`.

        More successes make the share smaller. They can meet the rule all the same when they make up the number of calls
        from which on it is judged, or when older ones leave the window meanwhile.
        """
        counts = self.window.counts(now)
        hits = counts.failures if self.slower_than is None else counts.slow
        if counts.calls < self.min_calls and hits / self.min_calls >= self.limit:
            return -math.inf
        return self.window.steady_until(now)
