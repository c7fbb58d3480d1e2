"""The circuit breaker.

```
             a trip rule is met                 recovery_timeout over
   closed ───────────────────────▶ open ───────────────────────────────▶ half-open
     ▲                              ▲   a trial fails, or its lease ends     │
     │                              └────────────────────────────────────────┤
     └───────────────────────────────────────────────────────────────────────┘
                      success_threshold trials in a row succeed
```

Every transition starts a new era with fresh counts. A permit carries the era that admitted it, and a result of another
era changes nothing but the `stale_results` counter, so late, hung and cancelled calls can neither close, extend nor
wedge the circuit. A forced state lies over this machine: it ends by release or expiry and leaves a fresh era.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seawall.core.permit import Ask, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.events.types import (
    CallRejected,
    CircuitClosed,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitReleased,
    RawEvent,
)

if TYPE_CHECKING:
    from seawall.machines.trip import TripRule

State = Literal["closed", "open", "half-open"]
ForcedState = Literal["open", "closed", "disabled"]


class Forced(NamedTuple):
    """A pin on a circuit: what to, by whom, why, and until when on the machine's clock (None: until released)."""

    state: ForcedState
    owner: str
    reason: str
    until: float | None


class BreakerOptions(NamedTuple):
    """Settings of a breaker; the policy validates them.

    Args:
        trip: rules, any of which opens the circuit.
        recovery_timeout: seconds it stays open.
        half_open_max_calls: trial calls at once when half-open.
        success_threshold: trial calls in a row that must succeed to close it.
        lease: seconds a trial call may take before it counts as failed.
    """

    trip: Sequence[TripRule]
    recovery_timeout: float = 30.0
    half_open_max_calls: int = 3
    success_threshold: int = 2
    lease: float = 60.0


class Breaker:
    """The state of one circuit. Moments are seconds on one clock."""

    __slots__ = (
        "causes", "counts", "era", "evidence", "forced", "name", "next_id", "number", "opened_at", "options", "outbox",
        "reason", "retry_at", "stale_results", "state", "successes", "trackers", "transitions", "trials",
    )  # fmt: skip

    def __init__(self, name: str, options: BreakerOptions) -> None:
        self.name = name
        self.options = options
        self.state: State = "closed"
        self.era = 1
        self.next_id = 0
        self.number = 0
        self.forced: Forced | None = None
        self.opened_at = 0.0  # when it last left closed
        self.retry_at = 0.0
        self.reason = ""
        self.evidence: dict[str, Any] = {}
        self.successes = 0
        self.trials: dict[int, Permit] = {}
        self.trackers = [rule.tracker() for rule in options.trip]
        self.causes: deque[str] = deque(maxlen=100)
        self.outbox: deque[RawEvent] = deque()
        self.counts = {"success": 0, "failure": 0, "rejected": 0}
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.stale_results = 0

    # ------------------------------------------------------------------ asking

    def acquire(self, ask: Ask, now: float) -> Permit | Rejection:
        """Leave for one call, or the reason why not."""
        self._settle_time(now)
        if self.forced is not None:
            if self.forced.state != "open":
                return self._permit(now)
            left = None if self.forced.until is None else self.forced.until - now
            return self._reject("forced_open", left, now)
        if self.state == "closed":
            return self._permit(now)
        if self.state == "open":
            if now < self.retry_at:
                return self._reject("open", self.retry_at - now, now)
            self._to_half_open("timeout", now)
        if len(self.trials) >= self.options.half_open_max_calls:
            ends = [trial.expires_at for trial in self.trials.values() if trial.expires_at is not None]
            return self._reject("trials_busy", min(ends) - now if ends else None, now)
        permit = self._permit(now)
        permit.kind = "trial"
        if not ask.held:
            permit.expires_at = now + self.options.lease
        self.trials[permit.id] = permit
        return permit

    def begin(self, permit: Permit, now: float) -> None:
        """The call itself starts now, or gives an item: a trial's lease runs from here, unless it has ended."""
        self._settle_time(now)
        if permit.id in self.trials and permit.era == self.era:
            permit.expires_at = now + self.options.lease

    def _permit(self, now: float) -> Permit:
        """A normal permit of this era."""
        self.next_id += 1
        return Permit(self.next_id, self.era, "normal", now)

    def _reject(self, reason: str, retry_after: float | None, now: float) -> Rejection:
        """A refusal, counted and reported."""
        self.counts["rejected"] += 1
        evidence = {"state": self.word(now), "since": self.opened_at, **self.evidence}
        self._emit(CallRejected, now, "circuit_breaker", reason, retry_after, evidence)
        return Rejection(reason, retry_after, evidence, self.number, self.name)

    # ----------------------------------------------------------------- results

    def record(self, permit: Permit, verdict: Verdict, duration: float, now: float, cause: str = "") -> None:
        """End a permit. Only the first end of a permit of this era counts.

        Args:
            permit: what `acquire` gave.
            verdict: how the call ended.
            duration: seconds the call itself took, without our own queues.
            now: this moment.
            cause: short name of what failed, for the evidence.
        """
        self._settle_time(now)
        if permit.settled:
            return
        permit.settled = True
        if permit.era != self.era:
            if verdict is not Verdict.UNSENT:
                self.stale_results += 1
            return
        self.trials.pop(permit.id, None)
        if verdict.neutral or (self.forced is not None and self.forced.state == "disabled"):
            return
        failed = verdict.failed
        self.counts["failure" if failed else "success"] += 1
        if self.forced is not None:
            return
        if failed:
            self.causes.append(cause or verdict.name.lower())
        evidence = None
        for tracker in self.trackers:  # all of them take part, also when an earlier one has tripped
            evidence = tracker.add(failed, duration, now) or evidence
        if permit.kind == "trial":
            slow = self._slow(duration)
            if failed or slow:
                self._to_open("trial_failed", {"causes": {cause or ("slow" if slow else "failure"): 1}}, now)
            else:
                self.successes += 1
                if self.successes >= self.options.success_threshold:
                    self._to_closed("trials_succeeded", now)
        elif evidence is not None:
            recent = list(self.causes)[-int(evidence["failures"]) :] if evidence["failures"] else []
            self._to_open("tripped", {**evidence, "causes": dict(Counter(recent))}, now)

    def _slow(self, duration: float) -> bool:
        """True if a trial took longer than a slow-call rule allows."""
        limits = [rule.slower_than for rule in self.options.trip if hasattr(rule, "slower_than")]
        return any(duration > limit for limit in limits)

    # -------------------------------------------------------------------- time

    def tick(self, now: float) -> None:
        """Let time do its work: pins expire, trials whose lease has ended fail."""
        self._settle_time(now)

    def _settle_time(self, now: float) -> None:
        """End what has run out by `now`."""
        forced = self.forced
        if forced is not None and forced.until is not None and now >= forced.until:
            self._unforce("expired", forced.owner, now)
        if self.state != "closed":
            self._bound(now)
        # the first end counts: the circuit has been open since then, and a later trial may already be due
        ends = [trial.expires_at for trial in self.trials.values() if trial.expires_at is not None]
        if ends and self.state == "half-open" and now >= min(ends):
            ended = min(ends)
            self._to_open("lease_ended", {"causes": {"no result": 1}}, ended)

    def _bound(self, now: float) -> None:
        """Let nothing lie further ahead than it can: a clock that went back costs one more period, and no more."""
        self.retry_at = min(self.retry_at, now + self.options.recovery_timeout)
        for trial in self.trials.values():
            if trial.expires_at is not None:
                trial.expires_at = min(trial.expires_at, now + self.options.lease)

    def word(self, now: float) -> str:
        """The state in one word, as of `now`, without changing it.

        An open circuit whose period is over reads "half-open": the next call will be a trial.
        """
        forced = self.forced
        if forced is not None and (forced.until is None or now < forced.until):
            return "disabled" if forced.state == "disabled" else f"forced-{forced.state}"
        if self.state == "open":
            return "open" if now < self.retry_at else "half-open"
        return self.state

    def retry_after(self, now: float) -> float:
        """Seconds until the next trial call may be let through; 0 when calls may go now."""
        forced = self.forced
        if forced is not None and (forced.until is None or now < forced.until):
            return 0.0 if forced.state != "open" or forced.until is None else forced.until - now
        if self.state != "open":
            return 0.0
        return min(max(0.0, self.retry_at - now), self.options.recovery_timeout)

    # ------------------------------------------------------------- transitions

    def _to_open(self, reason: str, evidence: Mapping[str, Any], now: float) -> None:
        """Open for `recovery_timeout` from `now`."""
        if self.state == "closed":
            self.opened_at = now
        self.retry_at = now + self.options.recovery_timeout
        self._move("open", reason, evidence)
        self._emit(CircuitOpened, now, reason, self.options.recovery_timeout, self.evidence)

    def _to_half_open(self, reason: str, now: float) -> None:
        """Let trial calls through."""
        self.retry_at = min(self.retry_at, now)  # by hand it may come before its time, and a fork looks at it
        self._move("half-open", reason, self.evidence)
        self._emit(CircuitHalfOpened, now, reason, self.options.half_open_max_calls)

    def _to_closed(self, reason: str, now: float) -> None:
        """Let every call through."""
        was_open_for = now - self.opened_at if self.state != "closed" else 0.0
        self._move("closed", reason, {})
        self._emit(CircuitClosed, now, reason, was_open_for)

    def _move(self, state: State, reason: str, evidence: Mapping[str, Any]) -> None:
        """Enter a state with a new era and fresh counts."""
        self.transitions[(self.state, state)] += 1
        self.state = state
        self.reason = reason
        self.evidence = dict(evidence)
        self._new_era()

    def _new_era(self) -> None:
        """Make every permit out there stale and start counting afresh."""
        self.era += 1
        self.successes = 0
        self.trials = {}
        self.trackers = [rule.tracker() for rule in self.options.trip]
        self.causes.clear()

    def _emit(self, kind: type, now: float, *fields: object) -> None:
        """Put an event into the outbox, numbered."""
        self.number += 1
        self.outbox.append((kind, self.number, now, self.name, *fields))

    # ------------------------------------------------------------ by hand

    def trip(self, now: float) -> None:
        """Open it by hand, as if a rule had been met; it recovers by itself."""
        self._settle_time(now)
        self._to_open("manual", {}, now)

    def half_open(self, now: float) -> None:
        """Let trial calls through by hand, whatever its state."""
        self._settle_time(now)
        if self.state == "closed":
            self.opened_at = now
        self._to_half_open("manual", now)

    def reset(self, now: float) -> None:
        """Close it by hand and clear all counts; a pin is taken off too."""
        self._settle_time(now)
        if self.forced is not None:
            self._unforce("released", self.forced.owner, now)
        if self.state == "closed":
            self._new_era()
        else:
            self._to_closed("manual", now)

    def force(self, forced: Forced, now: float) -> None:
        """Pin the circuit; a pin already there is replaced."""
        self._settle_time(now)
        self.forced = forced
        self._new_era()
        left = None if forced.until is None else forced.until - now
        self._emit(CircuitForced, now, forced.state, forced.owner, forced.reason, left)

    def release(self, owner: str, now: float, reason: str = "released") -> bool:
        """Take a pin off; False if there is none."""
        self._settle_time(now)
        if self.forced is None:
            return False
        self._unforce(reason, owner, now)
        return True

    def _unforce(self, reason: str, owner: str, now: float) -> None:
        """End a pin: a closed circuit counts afresh, any other goes through trial calls."""
        self.forced = None
        self._new_era()
        if self.state == "half-open":  # its trials are stale now
            self.state = "open"
            self.retry_at = now
        self._emit(CircuitReleased, now, self.word(now), owner, reason)

    def renew(self) -> None:
        """A new era with the state kept and nothing in flight: what a forked child starts with."""
        self._new_era()
        self.outbox.clear()
        if self.state == "half-open":
            self.state = "open"  # its retry_at is past, so the next call is a trial
