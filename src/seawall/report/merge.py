"""One snapshot out of those of many workers, with counts that never go back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot

#: Worse states win; of equals, the one that somebody imposed is the one to be seen.
_RANK = {
    "forced-open": 7,
    "open": 6,
    "half-open": 5,
    "disabled": 4,
    "forced-closed": 3,
    "observe": 2,
    "closed": 1,
}
#: Gauges of which the largest counts; all others are summed over the workers.
_LARGEST = frozenset({"retry_after", "oldest", "saturation", "queue_age"})

PolicyKey = tuple[str, str]
Counts = dict[str, int]
Histograms = dict[str, HistogramData]


def rank(state: str) -> int:
    """How bad a circuit's state is: forced-open and open above half-open above the rest."""
    return _RANK.get(state, 0)


def add_counts(total: Counts, more: Mapping[str, int]) -> None:
    """Add `more` to `total`, name by name."""
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def add_histograms(total: Histograms, more: Mapping[str, HistogramData]) -> None:
    """Add `more` to `total`, name by name; the bounds of what is there first are kept."""
    for name, data in more.items():
        here = total.get(name)
        total[name] = data if here is None else _sum(here, data)


def _sum(here: HistogramData, more: HistogramData) -> HistogramData:
    """Two distributions as one; values of other bounds are counted where their upper bound belongs."""
    if here.bounds == more.bounds and len(here.counts) == len(more.counts):
        counts = tuple(a + b for a, b in zip(here.counts, more.counts, strict=True))
    else:
        sums = list(here.counts)
        for position, count in enumerate(more.counts):
            place = bisect_left(here.bounds, more.bounds[position]) if position < len(more.bounds) else -1
            sums[place] += count
        counts = tuple(sums)
    return HistogramData(here.bounds, counts, here.total + more.total)


def merge_policy(
    live: Iterable[PolicySnapshot], dead: Iterable[PolicySnapshot], base: PolicySnapshot | None
) -> PolicySnapshot | None:
    """One policy over all workers.

    Counters and histograms are summed over live and dead workers and `base`, what earlier ones had counted. State,
    gauges and details speak of the live ones: the worst state and its details, with `workers` {state: count} added.
    Without a live worker the state is "" and the counts stay.
    """
    living, gone = list(live), list(dead)
    if len(living) == 1 and not gone and base is None:
        # by far the most frequent case, and a tenth of the work
        [only] = living
        return replace(only, details={**only.details, "workers": {only.state: 1}}) if only.state else only
    everything = [*living, *gone, *([base] if base is not None else [])]
    if not everything:
        return None
    counters: Counts = {}
    histograms: Histograms = {}
    pipelines: set[str] = set()
    for one in everything:
        add_counts(counters, one.counters)
        add_histograms(histograms, one.histograms)
        pipelines.update(one.pipelines)
    worst = max(living, key=lambda one: rank(one.state), default=None)
    details: dict[str, Any] = dict(worst.details) if worst is not None else {}
    if any(one.state for one in everything):
        states: Counts = {}
        for one in living:
            states[one.state] = states.get(one.state, 0) + 1
        details["workers"] = states
    return PolicySnapshot(
        kind=everything[0].kind,
        name=everything[0].name,
        pipelines=tuple(sorted(pipelines)),
        state=worst.state if worst is not None else "",
        counters=counters,
        gauges=_gauges(living),
        histograms=histograms,
        details=details,
    )


def merge_pipeline(
    live: Iterable[PipelineSnapshot], dead: Iterable[PipelineSnapshot], base: PipelineSnapshot | None
) -> PipelineSnapshot | None:
    """One pipeline over all workers; see `merge_policy`. Its policies are those of the first live worker."""
    everything = [*live, *dead, *([base] if base is not None else [])]
    if len(everything) < 2:
        return everything[0] if everything else None
    counters: Counts = {}
    histograms: Histograms = {}
    for one in everything:
        add_counts(counters, one.counters)
        add_histograms(histograms, one.histograms)
    return replace(everything[0], counters=counters, histograms=histograms)


def _gauges(living: Iterable[PolicySnapshot]) -> dict[str, float]:
    """Sums of the live workers' gauges, or the largest where a sum means nothing."""
    gauges: dict[str, float] = {}
    for one in living:
        for name, value in one.gauges.items():
            here = gauges.get(name)
            if here is None:
                gauges[name] = value
            else:
                gauges[name] = max(here, value) if name in _LARGEST else here + value
    return gauges


def went_back(now: Mapping[str, int], then: Mapping[str, int]) -> bool:
    """Whether a count is smaller than before: then its owner was made anew, and began at zero."""
    return any(now.get(name, 0) < count for name, count in then.items())


def since(now: Snapshot, then: Snapshot) -> Snapshot:
    """`now` with the counts of `then` taken off: what was counted in between. State and gauges are those of `now`."""
    policies = {(one.kind, one.name): one for one in then.policies}
    pipelines = {one.name: one for one in then.pipelines}
    return Snapshot(
        now.taken_at,
        tuple(_pipeline_since(one, pipelines.get(one.name)) for one in now.pipelines),
        tuple(_policy_since(one, policies.get((one.kind, one.name))) for one in now.policies),
    )


def _policy_since(now: PolicySnapshot, then: PolicySnapshot | None) -> PolicySnapshot:
    """One policy's counts since `then`."""
    if then is None:
        return now
    return replace(now, counters=_less(now.counters, then.counters), histograms=_fewer(now.histograms, then.histograms))


def _pipeline_since(now: PipelineSnapshot, then: PipelineSnapshot | None) -> PipelineSnapshot:
    """One pipeline's counts since `then`."""
    if then is None:
        return now
    return replace(now, counters=_less(now.counters, then.counters), histograms=_fewer(now.histograms, then.histograms))


def _less(now: Mapping[str, int], then: Mapping[str, int]) -> Counts:
    """Counts less those of `then`; one that has gone back began anew, so it is taken whole."""
    return {name: count - then.get(name, 0) if count >= then.get(name, 0) else count for name, count in now.items()}


def _fewer(now: Mapping[str, HistogramData], then: Mapping[str, HistogramData]) -> Histograms:
    """Distributions less those of `then`; one with fewer values than `then` began anew, so it is taken whole."""
    result: Histograms = {}
    for name, data in now.items():
        old = then.get(name)
        if (
            old is None
            or old.bounds != data.bounds
            or any(a < b for a, b in zip(data.counts, old.counts, strict=False))
        ):
            result[name] = data
        else:
            counts = tuple(a - b for a, b in zip(data.counts, old.counts, strict=True))
            result[name] = HistogramData(data.bounds, counts, max(0.0, data.total - old.total))
    return result
