"""The bulkhead: at most `limit` calls at once, and a bounded queue in front of them.

A slot that is given back goes straight to the next who waits, so nobody overtakes; a free slot exists only when nobody
waits. Who goes away is left in the queue as a gap and skipped later, and times that run out lie in a heap, so a step
costs no walk through thousands who wait.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from operator import mul
from typing import TYPE_CHECKING, Literal, NamedTuple

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.machines.shared import Shared

if TYPE_CHECKING:
    from seawall.events.types import RawEvent

Order = Literal["fifo", "lifo", "adaptive"]

ADAPTIVE_AFTER = 1.0  #: seconds that somebody has been waiting, after which an adaptive queue serves the last first
KNOWN_AFTER = 10  #: calls whose time must be known before an expected wait is believed
WEIGHT = 0.1  #: of the newest call in the mean service time
STEPS = 32  #: calls up to which the mean is carried on one by one
REMEMBERED = 128  #: calls after which one weighs nothing: 0.9^128 is a millionth
WEIGHTS = [WEIGHT * (1 - WEIGHT) ** (REMEMBERED - 1 - place) for place in range(REMEMBERED)]  #: the oldest first


class BulkheadOptions(NamedTuple):
    """Settings of a bulkhead; the policy validates them.

    Args:
        limit: calls at once, from 1.
        queue: places to wait, from 0.
        max_wait: seconds one may wait; None for no limit but the deadline's.
        order: "fifo", "lifo", or "adaptive": first come first served until somebody has been waiting without a break
            for `ADAPTIVE_AFTER` seconds, the last first from then on until the queue is empty.
        refuse_early: refuse also when the expected wait is above `max_wait`.
    """

    limit: int
    queue: int = 0
    max_wait: float | None = 0.0
    order: Order = "fifo"
    refuse_early: bool = False


class BulkheadMachine:
    """Who is inside and who waits. Moments are seconds on one clock."""

    __slots__ = (
        "asked", "busy_since", "ends", "era", "finished", "inside", "lent", "line", "name", "next_id", "options",
        "queued", "service", "shared",
    )  # fmt: skip

    def __init__(self, name: str, options: BulkheadOptions, shared: Shared | None = None) -> None:
        self.name = name
        self.options = options
        self.shared = shared or Shared()
        self.era = 1
        self.next_id = 0
        self.asked = 0
        self.inside: dict[int, Permit] = {}
        self.lent = 0  # slots that others hand out by themselves, in use or not
        self.line: deque[Parked] = deque()  # in order of coming, with those who are gone in between
        self.ends: list[tuple[float, int, Parked]] = []  # a heap of the times that run out
        self.queued = 0  # of those in line who are not gone
        self.busy_since = 0.0  # since when somebody waits
        self.service = 0.0  # mean seconds of a call, exponentially weighted
        self.finished = 0  # calls it is made of

    @property
    def counts(self) -> dict[str, int]:
        """Calls by how they fared."""
        return self.shared.counts

    @property
    def outbox(self) -> deque[RawEvent]:
        """Events that are still to be published."""
        return self.shared.outbox

    @property
    def stale_results(self) -> int:
        """Results of calls that an earlier era had admitted."""
        return self.shared.stale_results

    @property
    def room(self) -> int:
        """Free slots; below zero while there are more in use than there should be."""
        return self.options.limit - len(self.inside) - self.lent

    @property
    def waiting(self) -> list[Parked]:
        """Who waits, in order of coming."""
        return [place for place in self.line if not place.gone]

    def enter(self, ask: Ask, now: float) -> Permit | Parked | Rejection:
        """A slot, a place in the queue, or the reason why neither."""
        self.asked += 1
        self._drop_expired(now)
        options = self.options
        if self.room > 0 and not self.queued:
            return self._admit(now)
        max_wait = options.max_wait
        if options.queue == 0 or (max_wait is not None and max_wait <= 0):
            return self._reject("full", now)
        if self.queued >= options.queue:
            return self._reject("queue_full", now)
        expected = self.expected_wait(now)
        if ask.deadline is not None and ask.deadline <= now + expected:
            return self._reject("deadline", now, expected)
        if options.refuse_early and max_wait is not None and expected > max_wait:
            return self._reject("unreachable", now, expected)
        limits = [
            moment for moment in (None if max_wait is None else now + max_wait, ask.deadline) if moment is not None
        ]
        until = min(limits) if limits else None
        self.next_id += 1
        place = Parked(self.next_id, ask, now, until, until)
        if not self.queued:
            self.busy_since = now
        self.queued += 1
        self.shared.waiting += 1
        self.line.append(place)
        if until is not None:
            heapq.heappush(self.ends, (until, place.id, place))
        return place

    def expected_wait(self, now: float) -> float:
        """Seconds the next to come would wait: position × mean service time / limit; 0 while that is not known."""
        if self.finished < KNOWN_AFTER:
            return 0.0
        position = 1 if self._last_first(now) else self.queued + 1
        return position * self.service / self.options.limit

    def claim(self, place: Parked, now: float) -> Permit | Parked | Rejection:
        """What has become of a place: the slot it was given, the place itself, or a refusal once its time is up."""
        if place.permit is not None:
            return place.permit
        if place.until is not None and now >= place.until:
            self._remove(place)
            by_deadline = place.ask.deadline is not None and place.ask.deadline <= now
            return self._reject("deadline" if by_deadline else "waited", now)
        return place

    def moved(self) -> list[Parked]:
        """Nobody: who is refused had no slot."""
        return []

    def abandon(self, place: Parked, now: float) -> list[Parked]:
        """One who waited goes away; if a slot had already been given to it, the next gets it. Returns whom to wake."""
        if place.permit is not None:
            return self.leave(place.permit, Verdict.UNSENT, now)
        if self.shared.shadow and not place.gone:
            self.counts["allowed"] += 1  # it went on at once, and its time in line had not run out
        self._remove(place)
        return []

    def leave(self, permit: Permit, verdict: Verdict, now: float, retry_after: float | None = None) -> list[Parked]:
        """A call has ended: its slot goes to the next who still waits. Returns whom to wake."""
        del retry_after
        if permit.settled:
            return []
        if permit.era != self.era:
            permit.settled = True
            self.shared.stale_results += 1
            return []
        if permit.kind == "quiet":  # its slot is back already
            permit.settled = True
            if verdict is not Verdict.UNSENT:
                self.passed([max(0.0, now - permit.admitted_at)])
            return []
        if permit.id not in self.inside:
            return []
        shared, unsent = self.shared, verdict is Verdict.UNSENT
        # NB: no call in these lines, so no signal handler comes between them
        permit.settled = True
        del self.inside[permit.id]
        shared.inside -= 1
        shared.counts["allowed"] -= unsent
        if not unsent:
            self._took(max(0.0, now - permit.admitted_at))
        return self.fill(now)

    def _took(self, seconds: float) -> None:
        """A call has taken so long."""
        self.finished += 1
        self.service += (seconds - self.service) * max(WEIGHT, 1 / self.finished)

    def passed(self, durations: Sequence[float]) -> None:
        """Take in calls that had lent slots and have ended, with how long they took."""
        count = len(durations)
        self.asked += count
        self.counts["allowed"] += count
        if count >= STEPS and self.finished >= 1 / WEIGHT:
            recent = durations[-REMEMBERED:]  # what came before weighs nothing any more
            self.service = self.service * (1 - WEIGHT) ** count + sum(map(mul, recent, WEIGHTS[-len(recent) :]))
            self.finished += count
            return
        for seconds in durations:
            self._took(seconds)

    def fill(self, now: float) -> list[Parked]:
        """Give free slots to those who wait, in order. Returns whom to wake."""
        woken: list[Parked] = []
        self._drop_expired(now)
        while self.queued and self.room > 0:
            place = self.line.pop() if self._last_first(now) else self.line.popleft()
            if place.gone:
                continue
            place.gone = True
            self.queued -= 1
            self.shared.waiting -= 1
            place.permit = self._admit(now)
            place.permit.home = place.home
            woken.append(place)
        if not self.queued:
            self.line.clear()
            self.ends.clear()
        return woken

    def resize(self, limit: int, now: float) -> list[Parked]:
        """Other slots from now on: more at once, fewer as calls end; none is cancelled. Returns whom to wake."""
        self.options = self.options._replace(limit=limit)
        return self.fill(now)

    def begin(self, permit: Permit, now: float) -> None:
        """Nothing to do: a hung call keeps its slot, and its age is exported."""

    def oldest(self, now: float) -> float:
        """Age in seconds of the call that has been inside longest; 0 when there is none."""
        first = next(iter(self.inside.values()), None)  # admitted in order, and dictionaries keep it
        return 0.0 if first is None else max(0.0, now - first.admitted_at)

    def queue_age(self, now: float) -> float:
        """Seconds that the one who has waited longest has waited; 0 when nobody does."""
        self._drop_expired(now)
        while self.line and self.line[0].gone:
            self.line.popleft()
        return max(0.0, now - self.line[0].entered_at) if self.line else 0.0

    def _last_first(self, now: float) -> bool:
        """Whether the last who came is served first."""
        order = self.options.order
        return order == "lifo" or (order == "adaptive" and self.queued > 0 and now - self.busy_since > ADAPTIVE_AFTER)

    def _admit(self, now: float) -> Permit:
        """Hand out a slot."""
        shared = self.shared
        self.next_id += 1
        permit = Permit(self.next_id, self.era, "normal", now)
        # NB: no call in these lines, so no signal handler comes between them
        self.inside[permit.id] = permit
        shared.inside += 1
        shared.counts["allowed"] += 1
        return permit

    def _drop_expired(self, now: float) -> None:
        """Forget places whose time is up; their owners find out when they claim."""
        while self.ends and now >= self.ends[0][0]:
            place = heapq.heappop(self.ends)[2]
            if not place.gone:
                self._remove(place)
                if self.shared.shadow:  # its owner went on long ago and never looks
                    self._reject("waited", now)

    def _remove(self, place: Parked) -> None:
        """Take a place out of the queue if it is still there."""
        if place.gone:
            return
        place.gone = True
        self.queued -= 1
        self.shared.waiting -= 1
        if len(self.line) > 2 * self.queued + 16:  # more gaps than people: worth a walk
            self.line = deque(place for place in self.line if not place.gone)
            self.ends = [entry for entry in self.ends if not entry[2].gone]
            heapq.heapify(self.ends)

    def _reject(self, reason: str, now: float, expected: float = 0.0) -> Rejection:
        """A refusal, counted and reported."""
        evidence: dict[str, object] = {
            "in_flight": len(self.inside) + self.lent,
            "limit": self.options.limit,
            "queued": self.queued,
        }
        if expected > 0:
            evidence["expected_wait"] = round(expected, 6)
        return self.shared.reject("bulkhead", self.name, reason, None, evidence, now)

    def renew(self) -> None:
        """A new era with nobody inside: what a forked child starts with."""
        self.era += 1
        self.shared.inside -= len(self.inside)
        self.shared.waiting -= self.queued
        for place in self.line:
            place.gone = True
        self.inside = {}
        self.lent = 0
        self.line, self.ends, self.queued = deque(), [], 0
        self.outbox.clear()
