"""Sliding windows of call outcomes, by count and by time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple


def _before(moment: float) -> float:
    """A moment surely before one that was computed with roundings."""
    return moment - 8 * math.ulp(moment)


class WindowCounts(NamedTuple):
    """What lies in a window: calls, failures among them, slow calls, slow failures, summed durations in seconds."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
    slow_failures: int = 0
    duration: float = 0.0

    @property
    def successes(self) -> int:
        """Calls that did not fail."""
        return self.calls - self.failures

    @property
    def failure_rate(self) -> float | None:
        """Failures as a share of the calls, 0 to 1; None without calls."""
        return self.failures / self.calls if self.calls else None

    @property
    def slow_rate(self) -> float | None:
        """Slow calls as a share of the calls, 0 to 1; None without calls."""
        return self.slow / self.calls if self.calls else None


class CountWindow:
    """The last `size` outcomes.

    Args:
        size: outcomes kept, from 1.
    """

    __slots__ = ("_failures", "_ring", "_slow", "_slow_failures", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._ring: deque[tuple[bool, bool, float]] = deque()
        self._failures = self._slow = self._slow_failures = 0

    def add(self, failed: bool, slow: bool, duration: float, now: float) -> None:
        """Put in one outcome; the oldest leaves when the window is full. `now` is not used."""
        del now
        self._ring.append((failed, slow, duration))
        self._count(failed, slow, 1)
        if len(self._ring) > self.size:
            old_failed, old_slow, _ = self._ring.popleft()
            self._count(old_failed, old_slow, -1)

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """Put in many that neither failed nor were slow. `at` is not used."""
        del at
        count = len(durations)
        if count < self.size:
            for duration in durations:
                self.add(False, False, duration, 0.0)
        else:  # it holds nothing but the last of them from now on; their mean stands for each
            mean = sum(durations[-self.size :]) / self.size
            self._ring = deque(repeat((False, False, mean), self.size))
            self._failures = self._slow = self._slow_failures = 0

    def steady_until(self, now: float) -> float:
        """The moment at which something leaves without anything coming."""
        del now
        return math.inf

    def _count(self, failed: bool, slow: bool, step: int) -> None:
        """Add one outcome to the sums, or take it out."""
        self._failures += step * failed
        self._slow += step * slow
        self._slow_failures += step * (failed and slow)

    def counts(self, now: float) -> WindowCounts:
        """What is in the window."""
        del now
        # the sum is taken afresh: adding and subtracting floats for ever would drift
        total = sum(duration for _, _, duration in self._ring)
        return WindowCounts(len(self._ring), self._failures, self._slow, self._slow_failures, total)


class TumblingWindow:
    """The outcomes since the window began, all forgotten at once when it has lasted `length` seconds.

    The first outcome begins a window, and so does the first one after it has ended.

    Args:
        length: seconds, > 0.
    """

    __slots__ = ("_began", "_counts", "length")

    def __init__(self, length: float) -> None:
        self.length = length
        self._began: float | None = None
        self._counts = WindowCounts()

    def add(self, failed: bool, slow: bool, duration: float, now: float) -> None:
        """Put in one outcome."""
        self._expire(now)
        if self._began is None:
            self._began = now
        here = self._counts
        self._counts = WindowCounts(
            here.calls + 1,
            here.failures + failed,
            here.slow + slow,
            here.slow_failures + (failed and slow),
            here.duration + duration,
        )

    def counts(self, now: float) -> WindowCounts:
        """What is in the window."""
        self._expire(now)
        return self._counts

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """Put in many that neither failed nor were slow."""
        del at  # the window has begun, and lasts beyond them: see `steady_until`
        here = self._counts
        self._counts = here._replace(calls=here.calls + len(durations), duration=here.duration + sum(durations))

    def steady_until(self, now: float) -> float:
        """The moment at which the window ends; in the past if none has begun."""
        self._expire(now)
        return -math.inf if self._began is None else _before(self._began + self.length)

    def _expire(self, now: float) -> None:
        """Forget all if the time is up; a clock that went back begins anew."""
        if self._began is not None and not 0 <= now - self._began < self.length:
            self._began = None
            self._counts = WindowCounts()


class TimeWindow:
    """The outcomes of the last `length` seconds, kept in `buckets` buckets aligned to the clock.

    Whole buckets leave, so an outcome counts for at least `length - length / buckets` and less than `length` seconds.
    Memory does not grow with traffic.

    Args:
        length: seconds, > 0.
        buckets: from 1; 10 by default.
    """

    __slots__ = ("_buckets", "_width", "buckets", "length")

    def __init__(self, length: float, buckets: int = 10) -> None:
        self.length = length
        self.buckets = buckets
        self._width = length / buckets
        self._buckets: deque[tuple[int, WindowCounts]] = deque()

    def add(self, failed: bool, slow: bool, duration: float, now: float) -> None:
        """Put in one outcome."""
        self._put(WindowCounts(1, int(failed), int(slow), int(failed and slow), duration), now)

    def add_successes(self, durations: Sequence[float], at: float) -> None:
        """Put in many that neither failed nor were slow, all in the bucket of `at`."""
        self._put(WindowCounts(len(durations), duration=sum(durations)), at)

    def steady_until(self, now: float) -> float:
        """The moment at which the bucket of `now` ends, and the oldest may leave."""
        return _before((now // self._width + 1) * self._width)

    def _put(self, more: WindowCounts, now: float) -> None:
        """Add to the bucket of `now`."""
        self._expire(now)
        index = int(now // self._width)
        if self._buckets and self._buckets[-1][0] >= index:
            index, present = self._buckets.pop()  # a clock that stood still or went back adds to the newest bucket
            more = WindowCounts(
                present.calls + more.calls,
                present.failures + more.failures,
                present.slow + more.slow,
                present.slow_failures + more.slow_failures,
                present.duration + more.duration,
            )
        self._buckets.append((index, more))

    def counts(self, now: float) -> WindowCounts:
        """What is in the window."""
        self._expire(now)
        columns = zip(*(counts for _, counts in self._buckets), strict=True)
        return WindowCounts(*(sum(column) for column in columns)) if self._buckets else WindowCounts()

    def _expire(self, now: float) -> None:
        """Drop the buckets that lie wholly before the window."""
        oldest = int(now // self._width) - self.buckets
        while self._buckets and self._buckets[0][0] <= oldest:
            self._buckets.popleft()
