"""The last hour of a check, minute by minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seawall.measure.histogram import Histogram

if TYPE_CHECKING:
    from seawall.core.snapshot import HistogramData
    from seawall.health.base import CheckResult


class Minute(NamedTuple):
    """What a check found within one minute: `start` is wall time, `slowest` milliseconds."""

    start: float
    runs: int
    failures: int
    slowest: float


class History:
    """Counts of one check: all time, and per minute for the last hour. Memory does not grow.

    Args:
        minutes: how many are kept; 60 by default.
    """

    __slots__ = ("_duration", "_kept", "_minutes", "failures", "runs")

    def __init__(self, minutes: int = 60) -> None:
        self.runs = 0
        self.failures = 0
        self._duration = Histogram()
        self._kept = minutes
        self._minutes: list[Minute] = []  # an empty deque is 600 B

    def add(self, result: CheckResult, wall: float) -> None:
        """Count one result."""
        failed = not result.status.serves
        self.runs += 1
        self.failures += failed
        self._duration.observe(result.response_time_ms / 1000)
        start = wall // 60 * 60
        last = self._minutes[-1] if self._minutes else None
        if last is not None and start <= last.start:
            self._minutes[-1] = Minute(
                last.start, last.runs + 1, last.failures + failed, max(last.slowest, result.response_time_ms)
            )
        else:
            self._minutes.append(Minute(start, 1, int(failed), result.response_time_ms))
            del self._minutes[: -self._kept]

    def minutes(self, wall: float) -> tuple[Minute, ...]:
        """The minutes of the last hour in which the check ran, oldest first."""
        return tuple(minute for minute in self._minutes if minute.start > wall - 3660)

    def duration(self) -> HistogramData:
        """How long the runs took, in seconds, since the start."""
        return self._duration.data()
