"""Counts of observed values in fixed buckets."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from seawall.core.snapshot import HistogramData

#: Seconds; from a quick local call to a long model answer. Upper bounds, inclusive.
DURATION_BOUNDS: tuple[float, ...] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0,
    30.0, 60.0, 120.0,
)  # fmt: skip


class Counted(Protocol):
    """Many values, counted by somebody else."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def total(self) -> float:
        """Their sum."""

    def within(self, bound: float) -> bool:
        """Whether none is above a bound."""

    def buckets(self, bounds: tuple[float, ...]) -> list[int]:
        """How many of them fall into each bucket."""


class Histogram:
    """A histogram over `bounds`; not thread-safe, its owner locks.

    Args:
        bounds: inclusive upper limits in ascending order; what is larger falls into one more bucket.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add(self, batch: Counted) -> None:
        """Count many values."""
        total = self.total + batch.total
        if batch.within(self.bounds[0]):
            self.counts[0] += batch.count
            self.total = total
            return
        counts = [here + more for here, more in zip(self.counts, batch.buckets(self.bounds), strict=True)]
        self.counts, self.total = counts, total

    def data(self) -> HistogramData:
        """A copy of the counts as plain data."""
        from seawall.core.snapshot import HistogramData  # late: loaded when the first policy was made

        return HistogramData(self.bounds, tuple(self.counts), self.total)


def quantile(data: HistogramData, q: float) -> float | None:
    """The `q`-quantile (0 to 1) read off a histogram by linear interpolation within its bucket; None without values.

    Values above the last bound are taken as that bound. Source: Prometheus, `histogram_quantile`.
    """
    count = sum(data.counts)
    if count == 0:
        return None
    rank = q * count
    seen = 0.0
    low = 0.0
    for bound, here in zip(data.bounds, data.counts, strict=False):
        if here and seen + here >= rank:
            return low + (bound - low) * max(0.0, rank - seen) / here
        seen += here
        low = bound
    return data.bounds[-1]
