"""The last hour of every circuit and pipeline, worked out from ever growing counts that are read again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.measure.histogram import quantile

#: Seconds the present figures look back, and the shortest time between two readings that are kept for them.
RECENT, STEP = 60.0, 5.0
MINUTES = 60


class Reading(NamedTuple):
    """Counts since the beginning: answered well, failed, refused, answered by a fallback; and durations."""

    good: int = 0
    bad: int = 0
    refused: int = 0
    degraded: int = 0
    durations: HistogramData | None = None

    @property
    def calls(self) -> int:
        """All calls, refused ones too."""
        return self.good + self.bad + self.refused + self.degraded

    def minus(self, earlier: Reading) -> Reading:
        """What came since `earlier`. Counts that went back were begun afresh: then all of them came since."""
        if any(now < then for now, then in zip(self[:4], earlier[:4], strict=True)):
            return self
        return Reading(
            self.good - earlier.good,
            self.bad - earlier.bad,
            self.refused - earlier.refused,
            self.degraded - earlier.degraded,
            _difference(self.durations, earlier.durations),
        )

    def plus(self, other: Reading) -> Reading:
        """Both together."""
        return Reading(
            self.good + other.good,
            self.bad + other.bad,
            self.refused + other.refused,
            self.degraded + other.degraded,
            _sum(self.durations, other.durations),
        )

    @property
    def error_rate(self) -> float | None:
        """Failures as a share of the calls that were let through; None without any."""
        through = self.good + self.bad + self.degraded
        return self.bad / through if through else None

    @property
    def p99(self) -> float | None:
        """Seconds that 99 of 100 calls do not exceed."""
        return None if self.durations is None else quantile(self.durations, 0.99)


def _difference(now: HistogramData | None, then: HistogramData | None) -> HistogramData | None:
    """What came into a histogram between two readings."""
    if now is None or then is None or now.bounds != then.bounds:
        return now
    counts = tuple(max(0, a - b) for a, b in zip(now.counts, then.counts, strict=True))
    return HistogramData(now.bounds, counts, now.total - then.total)


def _sum(one: HistogramData | None, other: HistogramData | None) -> HistogramData | None:
    """Two histograms added up; the newer one where their bounds differ."""
    if one is None or other is None or one.bounds != other.bounds:
        return other or one
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return HistogramData(one.bounds, counts, one.total + other.total)


class Track:
    """One circuit or pipeline: readings of the last minute, and a sum for each minute of the last hour."""

    __slots__ = ("_last", "_minutes", "_recent")

    def __init__(self) -> None:
        self._recent: deque[tuple[float, Reading]] = deque()
        self._minutes: deque[tuple[int, Reading]] = deque(maxlen=MINUTES + 1)
        self._last: Reading | None = None

    def observe(self, reading: Reading, wall: float) -> None:
        """Take in one reading."""
        came = Reading() if self._last is None else reading.minus(self._last)
        reset = came is reading
        self._last = reading
        if came.calls:
            minute = int(wall // 60)
            if self._minutes and self._minutes[-1][0] >= minute:
                minute, before = self._minutes.pop()
                came = before.plus(came)
            self._minutes.append((minute, came))
        if reset:
            self._recent.clear()
        if not self._recent or wall - self._recent[-1][0] >= STEP:
            self._recent.append((wall, reading))
        while len(self._recent) > 1 and wall - self._recent[1][0] >= RECENT:
            self._recent.popleft()

    def recent(self, wall: float, length: float = RECENT) -> tuple[Reading, float]:
        """What came in about the last `length` seconds, at most a minute, and how many seconds that is."""
        if not self._recent or self._last is None:
            return Reading(), 0.0
        # the newest reading that lies that far back; where there is none, the oldest
        began, first = next((one for one in reversed(self._recent) if wall - one[0] >= length), self._recent[0])
        return self._last.minus(first), max(0.0, wall - began)

    def normal(self, wall: float) -> Reading:
        """What came in the last hour but for the newest five minutes: what present figures are held against."""
        total = Reading()
        for minute, reading in self._minutes:
            if wall / 60 - MINUTES <= minute < wall // 60 - 5:
                total = total.plus(reading)
        return total

    def spark(self, wall: float) -> tuple[str, str]:
        """The last hour as two strings of one digit per minute, oldest first, "." for a minute without calls.

        The first is how many calls, 0 to 9 against the busiest minute; the second the share of them that failed or was
        refused, 0 to 9: 0 below one in a hundred, 9 for all.
        """
        by_minute = dict(self._minutes)
        now = int(wall // 60)
        row = [by_minute.get(minute) for minute in range(now - MINUTES + 1, now + 1)]
        most = max((reading.calls for reading in row if reading is not None), default=0)
        volume = "".join("." if one is None else str(max(1, round(9 * one.calls / most))) for one in row)
        bad = "".join("." if one is None else share_digit((one.bad + one.refused) / one.calls) for one in row)
        return volume, bad


def share_digit(share: float) -> str:
    """A share as one digit: 0 below one in a hundred, which is nothing to draw in red; 9 only for all."""
    return "0" if share < 0.01 else "9" if share >= 1 else str(1 + int(share * 8))


class Tracks:
    """The history of everything in the snapshots."""

    def __init__(self) -> None:
        self.circuits: dict[str, Track] = {}
        self.pipelines: dict[str, Track] = {}

    def observe(self, snapshot: Snapshot, wall: float) -> None:
        """Take in one snapshot; what is no longer in it is forgotten."""
        circuits = {policy.name: policy for policy in snapshot.policies if policy.kind == "circuit_breaker"}
        pipelines = {pipeline.name: pipeline for pipeline in snapshot.pipelines}
        _follow(self.circuits, {name: _of_circuit(policy) for name, policy in circuits.items()}, wall)
        _follow(self.pipelines, {name: _of_pipeline(pipeline) for name, pipeline in pipelines.items()}, wall)


def _follow(tracks: dict[str, Track], readings: Mapping[str, Reading], wall: float) -> None:
    """One reading for each name."""
    for name in [name for name in tracks if name not in readings]:
        del tracks[name]
    for name, reading in readings.items():
        tracks.setdefault(name, Track()).observe(reading, wall)


def _of_circuit(policy: PolicySnapshot) -> Reading:
    """The counts of a circuit."""
    counts = policy.counters
    return Reading(
        counts.get("requests.success", 0),
        counts.get("requests.failure", 0),
        counts.get("requests.rejected", 0),
        0,
        policy.histograms.get("duration"),
    )


def _of_pipeline(pipeline: PipelineSnapshot) -> Reading:
    """The counts of a pipeline; cancelled calls say nothing about it."""
    counts = pipeline.counters
    return Reading(
        counts.get("calls.success", 0),
        counts.get("calls.failure", 0),
        counts.get("calls.rejected", 0),
        counts.get("calls.degraded", 0),
        pipeline.histograms.get("duration"),
    )
