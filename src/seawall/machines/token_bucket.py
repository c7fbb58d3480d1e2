"""The token bucket: `rate` tokens a second drip into a bucket that holds `burst`; a call takes its cost or waits.

tokens(now) = min(burst, tokens + (now − before) × rate)

Callers who may wait take their tokens at once and the count goes below zero: the debt is the queue, each knows exactly
when its tokens will have come, in the order of asking, and nobody polls.

While the dependency asks for a pause the bucket stands still: nobody goes, no tokens come, and every wait is longer by
the pause. So its end is no stampede, and no span of time sees more than burst + rate × its length.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from seawall.core.permit import Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.events.types import CallRejected, RawEvent


class TokenBucketOptions(NamedTuple):
    """Settings of a bucket; the policy validates them.

    Args:
        rate: tokens per second, > 0.
        burst: capacity in tokens; full at the start.
        max_wait: seconds a caller may wait for its tokens; 0 means never.
    """

    rate: float
    burst: float
    max_wait: float = 0.0


class TokenBucket:
    """The state of one bucket. Moments are seconds on one clock; a step back is taken as no time passing.

    What is sent in any span of time is at most `burst`, plus what the rate brings in it, plus what others gave back
    unsent in it: a refund that comes late can carry it above the burst by as much as comes back.
    """

    __slots__ = (
        "at", "blocked_until", "counts", "era", "name", "next_id", "number", "options", "outbox", "stale_results",
        "tokens", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, options: TokenBucketOptions) -> None:
        self.name = name
        self.options = options
        self.tokens = float(options.burst)
        self.at = -math.inf
        self.blocked_until = -math.inf  # the dependency asked for a pause
        self.era = 1
        self.next_id = 0
        self.number = 0
        self.waiting: list[Parked] = []
        self.outbox: deque[RawEvent] = deque()
        self.counts = {"allowed": 0, "rejected": 0}
        self.stale_results = 0

    def available(self, now: float) -> float:
        """Tokens in the bucket at `now`; below zero while callers wait."""
        self._drip(now)
        return self.tokens

    def _drip(self, now: float) -> None:
        """Bring the count up to `now`; no tokens come during a pause."""
        if now > self.at:
            since = max(self.at, min(self.blocked_until, now))
            if since > -math.inf:
                self.tokens = min(self.options.burst, self.tokens + (now - since) * self.options.rate)
        elif now < self.at:
            self._step_back(self.at - now)
        self.at = now

    def _step_back(self, by: float) -> None:
        """The clock went back: no time has passed, and all that lies ahead is as far ahead as before."""
        self.blocked_until -= by
        for place in self.waiting:
            place.entered_at -= by
            if place.wake_at is not None:
                place.wake_at -= by

    def _lack(self, cost: float, now: float) -> float:
        """Seconds until `cost` tokens are there and no pause holds; 0 if that is now.

        What a float cannot resolve at this moment counts as there, so that asking again after exactly the time we
        named succeeds.
        """
        tick = 4 * math.ulp(abs(now))
        short, pause = cost - self.tokens, self.blocked_until - now
        wait = short / self.options.rate if short > 1e-9 + self.options.rate * tick else 0.0
        return wait + (pause if pause > tick else 0.0)

    def acquire(self, ask: Ask, now: float) -> Permit | Rejection:
        """Take `ask.cost` tokens, or say in how many seconds they will be there."""
        self._drip(now)
        lack = self._lack(ask.cost, now)
        if lack > 0:
            return self._reject(self._why(now), lack, ask, now)
        return self._take(ask, now)

    def enter(self, ask: Ask, now: float) -> Permit | Parked | Rejection:
        """Like `acquire`, but a caller whose tokens come within `max_wait` and its deadline gets a place to wait."""
        self._drip(now)
        lack = self._lack(ask.cost, now)
        if lack <= 0:
            return self._take(ask, now)
        if lack > self.options.max_wait:
            return self._reject(self._why(now), lack, ask, now)
        if ask.deadline is not None and now + lack > ask.deadline:
            return self._reject("deadline", lack, ask, now)
        self.next_id += 1
        place = Parked(self.next_id, ask, now, now + lack, now + lack)
        self.tokens -= ask.cost
        self.waiting.append(place)
        return place

    def claim(self, place: Parked, now: float) -> Permit | Parked | Rejection:
        """The permit of one who waited once its time has come; the place itself while it has not.

        A refusal if a pause has come between and the time is now later than it may wait.
        """
        self._drip(now)
        if place.wake_at is not None and now < place.wake_at:
            deadline = place.ask.deadline
            latest = min(place.entered_at + self.options.max_wait, math.inf if deadline is None else deadline)
            # a rounding more is no reason: the wait was accepted
            if place.wake_at <= latest + 4 * math.ulp(abs(latest)):
                return place
            lack = place.wake_at - now
            self.abandon(place, now)
            return self._reject("throttled", lack, place.ask, now)
        if place in self.waiting:
            self.waiting.remove(place)
        place.gone = True
        self.counts["allowed"] += 1
        return Permit(place.id, self.era, "normal", now, cost=place.ask.cost)

    def abandon(self, place: Parked, now: float) -> list[Parked]:
        """One who waited goes away: its tokens come back, and those behind it move up. Returns whom to re-time."""
        if place.gone or place not in self.waiting:
            return []
        self._drip(now)
        place.gone = True
        behind = self.waiting[self.waiting.index(place) + 1 :]
        self.waiting.remove(place)
        self.tokens = min(self.options.burst, self.tokens + place.ask.cost)
        earlier = place.ask.cost / self.options.rate
        for other in behind:
            if other.wake_at is not None and other.wake_at > now:  # whose time has come already stays where it is
                other.wake_at = max(other.wake_at - earlier, self.blocked_until, now)
        return behind

    def leave(self, permit: Permit, verdict: Verdict, now: float, retry_after: float | None = None) -> list[Parked]:
        """End of a call that had waited; wakes nobody, as tokens come by time alone."""
        self.record(permit, verdict, 0.0, now, retry_after=retry_after)
        return []

    def _take(self, ask: Ask, now: float) -> Permit:
        """Hand out tokens."""
        self.tokens -= ask.cost
        self.next_id += 1
        self.counts["allowed"] += 1
        return Permit(self.next_id, self.era, "normal", now, cost=ask.cost)

    def _why(self, now: float) -> str:
        """The reason of a refusal."""
        return "throttled" if self.blocked_until > now else "empty"

    def _reject(self, reason: str, lack: float, ask: Ask, now: float) -> Rejection:
        """A refusal, counted and reported. It takes no tokens."""
        self.counts["rejected"] += 1
        evidence = {"tokens": round(self.tokens, 6), "cost": ask.cost, "per_second": self.options.rate}
        self.number += 1
        self.outbox.append((CallRejected, self.number, now, self.name, "rate_limiter", reason, lack, evidence))
        return Rejection(reason, lack, evidence, self.number, self.name)

    def record(
        self,
        permit: Permit,
        verdict: Verdict,
        duration: float,
        now: float,
        cause: str = "",
        *,
        retry_after: float | None = None,
    ) -> None:
        """End a permit: a call that was never sent gets its tokens back; a throttled one closes the gate.

        `retry_after` is how many seconds the dependency asked to wait: the gate stays shut for all callers until then.
        A pause is never shortened by a later, smaller one. `duration` and `cause` are not used.
        """
        del duration, cause
        if permit.settled:
            return
        permit.settled = True
        if permit.era != self.era:
            self.stale_results += 1
            return
        self._drip(now)
        if verdict is Verdict.UNSENT:
            self.tokens = min(self.options.burst, self.tokens + permit.cost)
            self.counts["allowed"] -= 1
        elif verdict is Verdict.THROTTLED and retry_after is not None:
            self._pause(now, now + retry_after)

    def _pause(self, now: float, until: float) -> None:
        """Shut the gate until then; those who wait go as much later as it is shut longer."""
        start = max(self.blocked_until, now)
        if until <= start:
            return
        self.blocked_until = until
        for place in self.waiting:
            if place.wake_at is not None:
                place.wake_at = max(place.wake_at, start) + (until - start)

    def begin(self, permit: Permit, now: float) -> None:
        """Nothing to do: tokens carry no lease."""

    def reset(self, now: float) -> None:
        """Fill the bucket and forget a pause the dependency asked for."""
        self._drip(now)
        self.tokens = float(self.options.burst) - sum(place.ask.cost for place in self.waiting)
        self.blocked_until = -math.inf

    def renew(self) -> None:
        """A new era without waiters: what a forked child starts with. The level stays: the parent's calls were sent."""
        self.era += 1
        self.tokens = min(self.options.burst, self.tokens + sum(place.ask.cost for place in self.waiting))
        self.waiting = []
        self.outbox.clear()
