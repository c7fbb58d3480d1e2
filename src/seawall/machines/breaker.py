"""The circuit breaker.

```
             a trip rule is met                   open period over
   closed ───────────────────────▶ open ───────────────────────────────▶ half-open
     ▲                              ▲   a trial fails, its lease ends, or    │
     │                              │   max_half_open is over                │
     │                              └────────────────────────────────────────┤
     └───────────────────────────────────────────────────────────────────────┘
                      success_threshold trials in a row succeed
```

With `half_open="rate"` many trials are judged together instead. After closing, a ramp may let calls through by degrees.

Every transition starts a new era with fresh counts. A permit carries the era that admitted it, and a result of another
era changes nothing but the `stale_results` counter, so late, hung and cancelled calls can neither close, extend nor
wedge the circuit. A forced state lies over this machine: it ends by release or expiry and leaves a fresh era. The
forced state "observe" is the exception: the machine goes on as before below it, and only its refusals have no effect.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from seawall.core.permit import Ask, Permit, Rejection, unheld
from seawall.core.verdict import Verdict
from seawall.events.types import CallRejected, CallShadowed, CircuitForced
from seawall.machines.breaker_options import LEAST_SHARE, Forced
from seawall.machines.circuit import Circuit


class Breaker(Circuit):
    """Asks, results and hands on one circuit; see `Circuit` for the arguments."""

    __slots__ = ()

    # ------------------------------------------------------------------ asking

    def acquire(self, ask: Ask, now: float) -> Permit | Rejection:
        """Leave for one call, or the reason why not."""
        self._settle_time(now)
        if self.forced is not None and self.forced.state != "observe":
            if self.forced.state != "open":
                return self._permit(now)
            left = None if self.forced.until is None else self.forced.until - now
            return self._reject("forced_open", left, now)
        if self.state == "closed":
            wait = None if self.ramp_from is None else self._ramp(now)
            return self._permit(now) if wait is None else self._reject("ramp", wait, now)
        if self.state == "open":
            if now < self.retry_at:
                return self._reject("open", self.retry_at - now, now)
            self._to_half_open("timeout", now)
        if not self.score.room(len(self.trials)):
            ends = [trial.expires_at for trial in self.trials.values() if trial.expires_at is not None]
            return self._reject("trials_busy", min(ends) - now if ends else None, now)
        permit = self._permit(now)
        permit.kind = "trial"
        permit.driven = ask.held
        if not ask.held:
            permit.expires_at = now + self.options.lease
        self.trials[permit.id] = permit
        return permit

    def _ramp(self, now: float) -> float | None:
        """None if a call may go, else seconds until the share let through has reached what was drawn for it."""
        closed_at = self.ramp_from = now if self.ramp_from is None else min(self.ramp_from, now)
        ramp, since = self.options.ramp, now - closed_at
        if since >= ramp:
            self.ramp_from = None
            return None
        drawn = self.chance()
        return None if drawn <= max(LEAST_SHARE, since / ramp) else drawn * ramp - since

    def begin(self, permit: Permit, now: float) -> None:
        """The call itself starts now, or gives an item: a trial's lease runs from here, unless it has ended."""
        self._settle_time(now)
        permit.resting = False
        if permit.id in self.trials and permit.era == self.era:
            permit.expires_at = now + self.options.lease

    def _permit(self, now: float) -> Permit:
        """A normal permit of this era."""
        self.next_id += 1
        permit = Permit(self.next_id, self.era, "normal", now)
        permit.home = self
        return permit

    def _reject(self, reason: str, retry_after: float | None, now: float) -> Permit | Rejection:
        """A refusal, counted and reported; in shadow a permit instead, whose end says nothing about a real circuit."""
        tally = self.tally
        evidence = {"state": self.below(now), "since": self.opened_at, **self.evidence}
        if self.options.shadow or (self.forced is not None and self.forced.state == "observe"):
            tally.counts["shadow_rejected"] += 1
            self._emit(CallShadowed, now, "circuit_breaker", reason, retry_after, evidence)
            permit = self._permit(now)
            permit.settled = True
            return permit
        tally.counts["rejected"] += 1
        if self.forced is not None:
            evidence["state"] = self.word(now)
        self._emit(CallRejected, now, "circuit_breaker", reason, retry_after, evidence)
        return Rejection(reason, retry_after, evidence, tally.number, self.name)

    # ----------------------------------------------------------------- results

    def record(
        self,
        permit: Permit,
        verdict: Verdict,
        duration: float,
        now: float,
        cause: str = "",
        retry_after: float | None = None,
    ) -> None:
        """End a permit. Only the first end of a permit of this era counts.

        Args:
            permit: what `acquire` gave.
            verdict: how the call ended.
            duration: seconds the call itself took, without our own queues.
            now: this moment.
            cause: short name of what failed, for the evidence.
            retry_after: seconds the dependency asked to wait; if this result opens the circuit, it stays so as long.
        """
        self._settle_time(now)
        if permit.settled:
            return
        permit.settled = True
        if permit.era != self.era:
            if verdict is not Verdict.UNSENT:
                self.tally.stale_results += 1
            return
        self.trials.pop(permit.id, None)
        forced = None if self.forced is None else self.forced.state
        if verdict.neutral or forced == "disabled":
            return
        failed = verdict.failed
        self.tally.counts["failure" if failed else "success"] += 1
        if forced is not None and forced != "observe":
            return
        if failed:
            self.causes.append(cause or verdict.name.lower())
        evidence = None
        for tracker in self.trackers:  # all of them take part, also when an earlier one has tripped
            evidence = tracker.add(failed, duration, now) or evidence
        if permit.kind == "trial":
            self._trial_ended(failed, duration, now, retry_after)
        elif evidence is not None:
            recent = list(self.causes)[-int(evidence["failures"]) :] if evidence["failures"] else []
            self._to_open("tripped", {**evidence, "causes": dict(Counter(recent))}, now, retry_after)

    def evidence_of_refusal(self, now: float) -> dict[str, object]:
        """What every refusal shows from now on, as long as it stays open."""
        state = self.below(now) if self.forced is None else self.word(now)
        return {"state": state, "since": self.opened_at, **self.evidence}

    def admits(self, now: float) -> bool:
        """Whether a call would be let through now; changes nothing but what time has ended."""
        self._settle_time(now)
        if self.options.shadow or (self.forced is not None and self.forced.state != "open"):
            return True
        if self.forced is not None or (self.state == "open" and now < self.retry_at):
            return False
        return self.state != "half-open" or self.score.room(len(self.trials))

    def lost(self) -> list[Permit]:
        """Trials whose driver a signal handler has kept, by raising, from ending them."""
        return [trial for trial in unheld(self.trials.values()) if trial.driven]

    def succeeded(self, durations: Sequence[float], at: float) -> None:
        """Take in calls of this era that succeeded and were told later; see `Tracker.add_successes`."""
        self.tally.counts["success"] += len(durations)
        for tracker in self.trackers:
            tracker.add_successes(durations, at)

    def quiet_until(self, now: float) -> float:
        """Up to which moment successes may be told later; in the past unless it is simply closed."""
        if self.state != "closed" or self.forced is not None or self.ramp_from is not None or self.options.shadow:
            return -math.inf
        return min((tracker.quiet_until(now) for tracker in self.trackers), default=math.inf)

    def adopt(self, era: int, at: float) -> Permit:
        """The permit of a call that began at a moment of an era, when this was quiet."""
        permit = self._permit(at)
        permit.era = era
        return permit

    def _trial_ended(self, failed: bool, duration: float, now: float, retry_after: float | None) -> None:
        """Judge one more trial; a slow one has failed."""
        slow = not failed and self._slow(duration)
        if slow:
            self.causes.append("slow")
        settled = self.score.add(failed=failed, slow=slow)
        if settled == "open":
            evidence = {**self.score.evidence(), "causes": dict(Counter(self.causes))}
            self._to_open("trial_failed", evidence, now, retry_after)
        elif settled == "closed":
            self._to_closed("trials_succeeded", now)

    def _slow(self, duration: float) -> bool:
        """True if a trial took longer than a slow-call rule allows."""
        limits = [rule.slower_than for rule in self.options.trip if hasattr(rule, "slower_than")]
        return any(duration > limit for limit in limits)

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
            self.ramp_from = None
            self._new_era()
        else:
            self._to_closed("manual", now)

    def force(self, forced: Forced, now: float) -> None:
        """Pin the circuit; a pin already there is replaced."""
        self._settle_time(now)
        before, self.forced = self.forced, forced
        if forced.state != "observe" or (before is not None and before.state != "observe"):
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

    def renew(self) -> None:
        """A new era with the state kept and nothing in flight: what a forked child starts with."""
        self._new_era()
        self.outbox.clear()
        if self.state == "half-open":
            self.state = "open"  # its retry_at is past, so the next call is a trial
