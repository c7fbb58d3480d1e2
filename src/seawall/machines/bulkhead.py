"""The bulkhead: at most `limit` calls at once, and a bounded, first-come queue in front of them.

A slot that is given back goes straight to the first who waits, so nobody overtakes; a free slot exists only when nobody
waits.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.events.types import CallRejected, RawEvent


class BulkheadOptions(NamedTuple):
    """Settings of a bulkhead; the policy validates them.

    Args:
        limit: calls at once, from 1.
        queue: places to wait, from 0.
        max_wait: seconds one may wait; None for no limit but the deadline's.
    """

    limit: int
    queue: int = 0
    max_wait: float | None = 0.0


class BulkheadMachine:
    """Who is inside and who waits. Moments are seconds on one clock."""

    __slots__ = (
        "counts", "era", "inside", "name", "next_id", "number", "options", "outbox", "stale_results", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, options: BulkheadOptions) -> None:
        self.name = name
        self.options = options
        self.era = 1
        self.next_id = 0
        self.number = 0
        self.inside: dict[int, Permit] = {}
        self.waiting: deque[Parked] = deque()
        self.outbox: deque[RawEvent] = deque()
        self.counts = {"allowed": 0, "rejected": 0}
        self.stale_results = 0

    def enter(self, ask: Ask, now: float) -> Permit | Parked | Rejection:
        """A slot, a place in the queue, or the reason why neither."""
        self._drop_expired(now)
        if len(self.inside) < self.options.limit and not self.waiting:
            return self._admit(now)
        max_wait = self.options.max_wait
        if self.options.queue == 0 or (max_wait is not None and max_wait <= 0):
            return self._reject("full", now)
        if len(self.waiting) >= self.options.queue:
            return self._reject("queue_full", now)
        if ask.deadline is not None and ask.deadline <= now:
            return self._reject("deadline", now)
        limits = [
            moment for moment in (None if max_wait is None else now + max_wait, ask.deadline) if moment is not None
        ]
        until = min(limits) if limits else None
        self.next_id += 1
        place = Parked(self.next_id, ask, now, until, until)
        self.waiting.append(place)
        return place

    def claim(self, place: Parked, now: float) -> Permit | Parked | Rejection:
        """What has become of a place: the slot it was given, the place itself, or a refusal once its time is up."""
        if place.permit is not None:
            return place.permit
        if place.until is not None and now >= place.until:
            self._remove(place)
            by_deadline = place.ask.deadline is not None and place.ask.deadline <= now
            return self._reject("deadline" if by_deadline else "waited", now)
        return place

    def abandon(self, place: Parked, now: float) -> list[Parked]:
        """One who waited goes away; if a slot had already been given to it, the next gets it. Returns whom to wake."""
        if place.permit is not None:
            return self.leave(place.permit, Verdict.UNSENT, now)
        self._remove(place)
        return []

    def leave(self, permit: Permit, verdict: Verdict, now: float, retry_after: float | None = None) -> list[Parked]:
        """A call has ended: its slot goes to the first who still waits. Returns whom to wake."""
        del retry_after
        if permit.settled:
            return []
        permit.settled = True
        if permit.era != self.era:
            self.stale_results += 1
            return []
        if self.inside.pop(permit.id, None) is None:
            return []
        if verdict is Verdict.UNSENT:
            self.counts["allowed"] -= 1
        return self.fill(now)

    def fill(self, now: float) -> list[Parked]:
        """Give free slots to those who wait, in order. Returns whom to wake."""
        woken: list[Parked] = []
        self._drop_expired(now)
        while self.waiting and len(self.inside) < self.options.limit:
            place = self.waiting.popleft()
            place.permit = self._admit(now)
            woken.append(place)
        return woken

    def begin(self, permit: Permit, now: float) -> None:
        """Nothing to do: a hung call keeps its slot, and its age is exported."""

    def oldest(self, now: float) -> float:
        """Age in seconds of the call that has been inside longest; 0 when there is none."""
        first = next(iter(self.inside.values()), None)  # admitted in order, and dictionaries keep it
        return 0.0 if first is None else max(0.0, now - first.admitted_at)

    def _admit(self, now: float) -> Permit:
        """Hand out a slot."""
        self.next_id += 1
        permit = Permit(self.next_id, self.era, "normal", now)
        self.inside[permit.id] = permit
        self.counts["allowed"] += 1
        return permit

    def _drop_expired(self, now: float) -> None:
        """Forget places whose time is up; their owners find out when they claim."""
        if any(place.until is not None and now >= place.until for place in self.waiting):
            self.waiting = deque(place for place in self.waiting if place.until is None or now < place.until)

    def _remove(self, place: Parked) -> None:
        """Take a place out of the queue if it is still there."""
        place.gone = True
        if place in self.waiting:
            self.waiting.remove(place)

    def _reject(self, reason: str, now: float) -> Rejection:
        """A refusal, counted and reported."""
        self.counts["rejected"] += 1
        evidence = {"in_flight": len(self.inside), "limit": self.options.limit, "queued": len(self.waiting)}
        self.number += 1
        self.outbox.append((CallRejected, self.number, now, self.name, "bulkhead", reason, None, evidence))
        return Rejection(reason, None, evidence, self.number, self.name)

    def renew(self) -> None:
        """A new era with nobody inside: what a forked child starts with."""
        self.era += 1
        self.inside = {}
        self.waiting = deque()
        self.outbox.clear()
