"""What the daemon knows of all workers' policies, merged as it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from seawall.core.snapshot import PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.report.merge import PolicyKey, merge_pipeline, merge_policy, went_back

#: Policies and pipelines taken from one worker, and kept in all; what is beyond is left out and counted.
MOST_PER_WORKER = 5_000
MOST_IN_ALL = 20_000
#: Workers that have ended and are remembered one by one, so that one which links again is not counted twice.
MOST_DEAD = 64

K = TypeVar("K")
V = TypeVar("V", PolicySnapshot, PipelineSnapshot)
Merge = Callable[[Iterable[V], Iterable[V], V | None], V | None]


class _Shelf(Generic[K, V]):
    """All workers' versions of one sort of thing, by key and worker; merges again only what has changed.

    Args:
        merge: makes one out of live and dead workers' versions and a sum of earlier ones.
    """

    def __init__(self, merge: Merge[V]) -> None:
        self.by_key: dict[K, dict[str, V]] = {}
        self.keys: dict[str, set[K]] = {}
        self._base: dict[K, V] = {}
        self._merged: dict[K, V] = {}
        self._changed: set[K] = set()
        self._merge: Merge[V] = merge

    def put(self, worker: str, key: K, value: V) -> bool:
        """Keep a worker's version; False if there are too many keys."""
        keys = self.keys.setdefault(worker, set())
        if key not in keys:
            if len(keys) >= MOST_PER_WORKER or (key not in self.by_key and len(self.by_key) >= MOST_IN_ALL):
                return False
            keys.add(key)
        versions = self.by_key.setdefault(key, {})
        before = versions.get(worker)
        if before is not None and went_back(value.counters, before.counters):
            self._add_to_base(key, before)
        versions[worker] = value
        self._changed.add(key)
        return True

    def touch(self, worker: str) -> None:
        """Have everything of a worker merged again."""
        self._changed.update(self.keys.get(worker, ()))

    def fold(self, worker: str) -> None:
        """Forget a worker that has ended, and keep what it counted in the sum."""
        for key in self.keys.pop(worker, ()):
            self._add_to_base(key, self.by_key[key].pop(worker))
            self._changed.add(key)

    def _add_to_base(self, key: K, version: V) -> None:
        """Keep what a version counted that will not be seen again."""
        total = self._merge([], [version], self._base.get(key))
        if total is not None:
            self._base[key] = total

    def merged(self, live: set[str]) -> list[V]:
        """Everything, merged, in the order of the keys."""
        for key in self._changed:
            versions = self.by_key[key]
            result = self._merge(
                [value for worker, value in versions.items() if worker in live],
                [value for worker, value in versions.items() if worker not in live],
                self._base.get(key),
            )
            if result is not None:
                self._merged[key] = result
        self._changed.clear()
        return [value for _, value in sorted(self._merged.items(), key=_first)]

    def of(self, worker: str) -> list[V]:
        """One worker's versions, in the order of the keys."""
        versions = [(key, self.by_key[key][worker]) for key in self.keys.get(worker, ())]
        return [value for _, value in sorted(versions, key=_first)]


def _first(pair: tuple[Any, Any]) -> Any:
    """The key of a pair."""
    return pair[0]


class Fleet:
    """All workers' policies and pipelines.

    A worker that has ended keeps what it counted: as its own record for a while, in case it links again, then in a sum.
    """

    def __init__(self) -> None:
        self.left_out = 0  #: policies and pipelines not taken because there were too many
        self._policies: _Shelf[PolicyKey, PolicySnapshot] = _Shelf(merge_policy)
        self._pipelines: _Shelf[str, PipelineSnapshot] = _Shelf(merge_pipeline)
        self._live: set[str] = set()
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._taken_at: dict[str, float] = {}

    def set_live(self, worker: str, *, live: bool) -> None:
        """Whether a worker counts for states and gauges."""
        if live:
            self._dead.pop(worker, None)
        if live == (worker in self._live):
            return
        if live:
            self._live.add(worker)
        else:
            self._live.discard(worker)
        self._policies.touch(worker)
        self._pipelines.touch(worker)

    def ended(self, worker: str) -> list[str]:
        """A worker's link has ended; what it counted stays. Gives the workers that are forgotten for it."""
        self.set_live(worker, live=False)
        self._dead[worker] = None
        forgotten = []
        while len(self._dead) > MOST_DEAD:
            oldest, _ = self._dead.popitem(last=False)
            self._policies.fold(oldest)
            self._pipelines.fold(oldest)
            self._taken_at.pop(oldest, None)
            forgotten.append(oldest)
        return forgotten

    def update(
        self, worker: str, taken_at: float, policies: Iterable[PolicySnapshot], pipelines: Iterable[PipelineSnapshot]
    ) -> None:
        """Take what a worker says now of some of its policies and pipelines."""
        self._taken_at[worker] = taken_at
        for policy in policies:
            if not self._policies.put(worker, (policy.kind, policy.name), policy):
                self.left_out += 1
        for pipeline in pipelines:
            if not self._pipelines.put(worker, pipeline.name, pipeline):
                self.left_out += 1

    def circuits(self) -> list[str]:
        """The names of all circuits of live workers."""
        return sorted(
            name
            for (kind, name), versions in self._policies.by_key.items()
            if kind == "circuit_breaker" and not self._live.isdisjoint(versions)
        )

    def circuit(self, worker: str, name: str) -> PolicySnapshot | None:
        """One worker's version of a circuit."""
        return self._policies.by_key.get(("circuit_breaker", name), {}).get(worker)

    def snapshot(self, now: float) -> Snapshot:
        """Everything, merged over all workers; `now` (wall) stands in while no worker is live."""
        taken_at = max((self._taken_at.get(worker, 0.0) for worker in self._live), default=now)
        return Snapshot(taken_at, tuple(self._pipelines.merged(self._live)), tuple(self._policies.merged(self._live)))

    def worker_snapshot(self, worker: str) -> Snapshot:
        """What one worker said last."""
        taken_at = self._taken_at.get(worker, 0.0)
        return Snapshot(taken_at, tuple(self._pipelines.of(worker)), tuple(self._policies.of(worker)))
