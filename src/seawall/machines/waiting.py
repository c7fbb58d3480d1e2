"""What all rate limits share: permits, a first-come line in front, refunds, pauses, and a clock that may step back.

An algorithm says when a cost can be had (`_when`), takes it at a moment that may lie ahead (`_take`), and undoes that.
Who may wait books its moment at once, so that each knows exactly when it goes, in the order of asking, and nobody
polls. Whatever changes that order (somebody goes away, gives tokens back, a pause, another rate) undoes what is booked
ahead and books it anew.

A denied request changes nothing. So asking again after exactly the time we named computes the same moment, and what a
float cannot tell from it counts as reached.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.verdict import Verdict
from seawall.machines.resting import Resting
from seawall.machines.shared import Booked, Place

if TYPE_CHECKING:
    from seawall.core.permit import Ask, Parked, Permit, Rejection


class Line(Resting):
    """The base of every rate limit; its state is in `resting.py`."""

    __slots__ = ()

    # ----------------------------------------------------------- decisions

    def available(self, now: float) -> float:
        """Tokens there at `now`, or at the end of a pause; below zero while callers wait."""
        return self._level(max(self._clock(now), self.gate))

    def lack(self, cost: float, now: float) -> float:
        """Seconds until `cost` could be taken; 0 if that is now."""
        at = self._clock(now)
        wait = self._when(cost, self._start(at)) - at
        return wait if wait > self._close(at) else 0.0

    def acquire(self, ask: Ask, now: float) -> Permit | Rejection:
        """Take `ask.cost` tokens, or say in how many seconds they will be there."""
        self.asked += 1
        at = self._clock(now)
        moment = self._when(ask.cost, self._start(at))
        if moment - at > self._close(at):
            return self._reject(self._why(at), moment - at, ask, now)
        return self._grant(ask, max(moment, at), now)

    def enter(self, ask: Ask, now: float) -> Permit | Parked | Rejection:
        """Like `acquire`, but a caller whose tokens come within `max_wait` and its deadline gets a place to wait."""
        self.asked += 1
        at = self._clock(now)
        moment = self._when(ask.cost, self._start(at))
        lack = moment - at
        if lack <= self._close(at):
            return self._grant(ask, max(moment, at), now)
        if lack > self.options.max_wait:
            return self._reject(self._why(at), lack, ask, now)
        if ask.deadline is not None and now + lack > ask.deadline:
            return self._reject("deadline", lack, ask, now)
        if self.shared.shadow:  # it does not wait, but takes its turn all the same
            return self._grant(ask, moment, now)
        self.shared.ids += 1
        place = Place(self.shared.ids, ask, now, None, None)
        self._book(place, moment)
        self._stirred().waiting.append(place)
        self.shared.waiting += 1
        return place

    def claim(self, place: Parked, now: float) -> Permit | Parked | Rejection:
        """The permit of one who waited once its time has come; the place itself while it has not.

        A refusal if a pause or a lower rate has come between and the time is now later than it may wait.
        """
        assert isinstance(place, Place)
        at = self._clock(now)
        if place.gone:  # the rate has changed, and its cost can never be paid any more
            return self._reject("unreachable", None, place.ask, now)
        if place.wake_at is not None and place.wake_at - now > self._close(at):
            deadline = place.ask.deadline
            latest = min(place.entered_at + self.options.max_wait, math.inf if deadline is None else deadline)
            # a rounding more is no reason: the wait was accepted
            if place.wake_at <= latest + self._close(latest):
                return place
            lack = place.wake_at - now
            self.abandon(place, now)
            return self._reject(self._why(at), lack, place.ask, now)
        if place in self.waiting:
            self._remove(place)
        place.gone = True
        self.shared.counts["allowed"] += 1
        return self._permit(place.id, place.ask.cost, place.at, now)

    def abandon(self, place: Parked, now: float) -> list[Parked]:
        """One who waited goes away: its tokens come back, and those behind it move up. Returns whom to re-time."""
        if place.gone or not isinstance(place, Place) or place not in self.waiting:
            return []
        at = self._clock(now)
        index = self.waiting.index(place)
        behind = self.waiting[index + 1 :]
        ahead = self._unbook(max(index, self._first(at)))
        self._remove(place)
        place.gone = True
        if place.at <= at:
            self._give(place.ask.cost, place.at, at)
        self._rebook([other for other in ahead if other is not place], at)
        return list(behind)

    def leave(self, permit: Permit, verdict: Verdict, now: float, retry_after: float | None = None) -> list[Parked]:
        """End of a call that may have waited. Returns whom to wake, as `record` does."""
        return self.record(permit, verdict, 0.0, now, retry_after=retry_after)

    def record(
        self,
        permit: Permit,
        verdict: Verdict,
        duration: float,
        now: float,
        cause: str = "",
        *,
        retry_after: float | None = None,
    ) -> list[Parked]:
        """End a permit: a call that was never sent gets its tokens back; a throttled one closes the gate.

        `retry_after` is how many seconds the dependency asked to wait: the gate stays shut for all callers until then.
        A pause is never shortened by a later, smaller one. `duration` and `cause` are not used. Returns those whose
        time has changed: to be woken, so that they look at it.
        """
        del duration, cause
        if permit.settled:
            return []
        permit.settled = True
        if permit.era != self.era:
            self.shared.stale_results += 1
            return []
        if verdict is Verdict.UNSENT:
            assert isinstance(permit, Booked)
            at = self._clock(now)
            ahead = self._unbook(self._first(at))
            self._give(permit.cost, permit.moment, at)
            # NB: no call in these lines, nor at the end of `_give`, so no signal handler comes between them
            self.shared.counts["allowed"] -= 1
            return self._rebook(ahead, at)
        if verdict is Verdict.THROTTLED and retry_after is not None:
            at = self._clock(now)
            return self._pause(at, at + retry_after)
        return []  # not even the moment is looked at: to remember it would take memory for each key

    def begin(self, permit: Permit, now: float) -> None:
        """Nothing to do: tokens carry no lease."""

    def reset(self, now: float) -> list[Parked]:
        """Forget what was taken and a pause the dependency asked for. Returns whom to wake."""
        at = self._clock(now)
        first = self._first(at)
        ahead = self._unbook(first)
        self.gate = -math.inf
        for place in self.waiting[:first]:
            place.wake_at = place.until = now
        self._empty(at)
        self._rebook(ahead, at)
        return list(self.waiting)

    def update(self, options: Any, now: float) -> list[Parked]:
        """Other limits from now on; what was accrued before is settled under the old ones. Returns whom to wake."""
        at = self._clock(now)
        ahead = self._unbook(self._first(at))
        self._tune(options, at)
        self.options = options
        return self._rebook(ahead, at)

    def renew(self) -> None:
        """A new era without waiters: what a forked child starts with. The level stays: the parent's calls were sent."""
        self.shared.era += 1
        at = self.latest
        self._unbook(self._first(at))
        for place in self.waiting:
            place.gone = True
            if place.at <= at:
                self._give(place.ask.cost, place.at, at)
        self.shared.waiting -= len(self.waiting)
        if self.unrest is not None:
            self.unrest.waiting = []
        self.outbox.clear()

    # ------------------------------------------------------- handed out ahead

    @property
    def step(self) -> float:
        """Seconds after which one more call may go; for a limit by rate."""
        return 1.0 / float(self.options.rate)

    def spare(self, now: float) -> int:
        """How many calls of cost 1 may go from now on at any moment, whenever that is, if nobody else comes."""
        at = self._clock(now)
        if self.waiting or self.gate > at or self.shared.shadow:
            return 0
        return max(0, int(self._level(at) + self.certain))

    def took(self, moments: Sequence[float], now: float) -> None:
        """Calls of cost 1, of those that `spare` said may go, have gone at these moments, the last not after `now`."""
        at = self._clock(now)
        count, shared = len(moments), self.shared
        self._take_many([min(moment + self.skew, at) for moment in moments] if self.skew else moments)
        # NB: no call in these lines, nor at the end of `_take_many`, so no signal handler comes between them
        self.asked += count
        shared.counts["allowed"] += count

    def took_at_once(self, count: int, moment: float, now: float) -> None:
        """So many have gone, the last at that moment, and it makes no difference when the others did."""
        at = self._clock(now)
        shared = self.shared
        self._take_together(count, min(moment + self.skew, at))
        # NB: see `took`
        self.asked += count
        shared.counts["allowed"] += count

    def gave_back(self, count: int, now: float) -> None:
        """So many of those that have gone did not go after all; nobody may be waiting."""
        at = self._clock(now)
        shared = self.shared
        self._give(float(count), at, at)
        # NB: see `took`
        self.asked -= count
        shared.counts["allowed"] -= count

    def _take_together(self, count: int, moment: float) -> None:
        """Take so many tokens at a moment; changes the state in its last step."""
        raise NotImplementedError

    def _take_many(self, moments: Sequence[float]) -> None:
        """Take one token at each of these moments; changes the state in its last step."""
        raise NotImplementedError

    def adopt(self, era: int, cost: float, at: float, now: float) -> Booked:
        """The permit of a call that took its tokens so."""
        self.shared.ids += 1
        permit = self._permit(self.shared.ids, cost, min(at + self.skew, self._clock(now)), now)
        permit.era = era
        return permit

    # ------------------------------------------------------------ the line

    def _first(self, at: float) -> int:
        """Number of the first in line whose time has not come."""
        return bisect_right(self.waiting, at, key=lambda place: place.at)

    def _book(self, place: Place, moment: float) -> None:
        """Give a place its moment."""
        place.mark = self._take(place.ask.cost, moment)
        place.at = moment
        place.wake_at = place.until = moment - self.skew

    def _unbook(self, first: int) -> list[Place]:
        """Undo what is booked from that number on."""
        ahead = list(self.waiting[first:])
        for place in reversed(ahead):
            self._undo(place.ask.cost, place.at, place.mark)
        return ahead

    def _rebook(self, ahead: list[Place], at: float) -> list[Parked]:
        """Book them again, in order; they are the last of the line. Returns them all."""
        kept = len(self.waiting) - len(ahead)
        last = max(at, self.gate, self.waiting[kept - 1].at if kept else -math.inf)
        for place in ahead:
            moment = self._when(place.ask.cost, last)
            if math.isinf(moment):  # it learns that when it looks
                self._remove(place)
                place.gone = True
                continue
            self._book(place, moment)
            last = moment
        return list(ahead)

    def _remove(self, place: Place) -> None:
        """Take a place out of the line."""
        self._stirred().waiting.remove(place)
        self.shared.waiting -= 1

    def _pause(self, at: float, until: float) -> list[Parked]:
        """Shut the gate until then."""
        start = max(self.gate, at)
        if until <= start:
            return []
        first = self._first(at)
        ahead = self._unbook(first)
        self._halt(start, until)
        self.gate = until
        held = self.waiting[:first]  # their tokens have come, but they have not gone yet
        for place in held:
            place.wake_at = place.until = until - self.skew
        return [*held, *self._rebook(ahead, at)]

    # ------------------------------------------------------------- answers

    def _grant(self, ask: Ask, moment: float, now: float) -> Permit:
        """Hand out tokens."""
        self._take(ask.cost, moment)
        shared = self.shared
        # NB: no call in these lines, so no signal handler comes between them
        shared.ids += 1
        shared.counts["allowed"] += 1
        return self._permit(shared.ids, ask.cost, moment, now)

    def _permit(self, id: int, cost: float, moment: float, now: float) -> Booked:
        """A permit for tokens taken at a moment."""
        permit = Booked(id, self.era, "normal", now, cost=cost)
        permit.moment = moment
        return permit

    def _why(self, at: float) -> str:
        """The reason of a refusal."""
        return "throttled" if self.gate > at else "empty"

    def _reject(self, reason: str, lack: float | None, ask: Ask, now: float) -> Rejection:
        """A refusal, counted and reported. It takes no tokens."""
        evidence = self._evidence(ask.cost, max(now + self.skew, self.gate))
        return self.shared.reject("rate_limiter", self.name, reason, lack, evidence, now)

    def moved(self) -> list[Parked]:
        """Those whose time may have changed."""
        return list(self.waiting)
