"""The circuit breaker once more, written from its rules and not from its code: a log of outcomes, judged by hand."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from seawall.core.verdict import Verdict
from seawall.machines.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowRate

Seen = tuple[float, bool, float]  # when, whether it failed, how long it took


def met(rule: Any, log: list[Seen], now: float) -> bool:
    """Whether a trip rule is met by the outcomes of an era, the last of which came now."""
    if isinstance(rule, ConsecutiveFailures):
        return len(log) >= rule.threshold and all(failed for _, failed, _ in log[-rule.threshold :])
    if isinstance(rule, FailureCount):
        young = [at for at, failed, _ in log if failed and now - at < rule.window]
        return log[-1][1] and len(young) >= rule.threshold
    assert isinstance(rule, FailureRate | SlowRate)
    if rule.calls is not None:
        inside = log[-rule.calls :]
    else:
        width = Fraction(rule.window) / 10
        oldest = Fraction(now) // width - 9
        inside = [seen for seen in log if Fraction(seen[0]) // width >= oldest]
    if isinstance(rule, FailureRate):
        hits = sum(failed for _, failed, _ in inside)
    else:
        hits = sum(took > rule.slower_than for _, _, took in inside)
    return len(inside) >= rule.min_calls and Fraction(hits, len(inside)) >= Fraction(str(rule.rate))


@dataclass
class Call:
    """One permit as the model sees it."""

    era: int
    trial: bool
    ends: float | None = None  # its lease
    settled: bool = False


@dataclass
class Model:
    """What a breaker must do. `now` never goes back."""

    rules: list[Any]
    recovery: float
    at_once: int
    to_close: int
    lease: float
    state: str = "closed"
    era: int = 0
    due: float = 0.0  # when an open circuit may be tried
    pin: tuple[str, float | None] | None = None
    log: list[Seen] = field(default_factory=list)
    wins: int = 0
    out: list[Call] = field(default_factory=list)  # trials under way
    stale: int = 0
    counted: dict[str, int] = field(default_factory=lambda: {"success": 0, "failure": 0, "rejected": 0})

    def fresh(self, state: str) -> None:
        """A new era in `state`."""
        self.state, self.era, self.log, self.wins, self.out = state, self.era + 1, [], 0, []

    def open(self, at: float) -> None:
        self.fresh("open")
        self.due = at + self.recovery

    def pass_time(self, now: float) -> None:
        """What time alone does."""
        if self.pin and self.pin[1] is not None and now >= self.pin[1]:
            self.unpin(now)
        ended = [call.ends for call in self.out if call.ends is not None and call.ends <= now]
        if ended and self.state == "half-open":
            self.open(min(ended))

    def unpin(self, now: float) -> None:
        self.pin = None
        if self.state == "half-open":
            self.state, self.due = "open", now
        self.fresh(self.state)

    def ask(self, now: float, *, held: bool) -> Call | tuple[str, float | None]:
        """A permit, or why not and for how long."""
        self.pass_time(now)
        if self.pin:
            kind, until = self.pin
            if kind == "open":
                return self.refuse("forced_open", None if until is None else until - now)
            return Call(self.era, trial=False)
        if self.state == "closed":
            return Call(self.era, trial=False)
        if self.state == "open":
            if now < self.due:
                return self.refuse("open", self.due - now)
            self.fresh("half-open")
        if len(self.out) >= self.at_once:
            ends = [call.ends for call in self.out if call.ends is not None]
            return self.refuse("trials_busy", min(ends) - now if ends else None)
        call = Call(self.era, trial=True, ends=None if held else now + self.lease)
        self.out.append(call)
        return call

    def refuse(self, reason: str, left: float | None) -> tuple[str, float | None]:
        self.counted["rejected"] += 1
        return reason, left

    def begin(self, call: Call, now: float) -> None:
        """The lease of a trial starts anew with the call itself, unless it has ended."""
        self.pass_time(now)
        if any(call is other for other in self.out):
            call.ends = now + self.lease

    def settle(self, call: Call, verdict: Verdict, took: float, now: float) -> None:
        """The end of a call."""
        self.pass_time(now)
        if call.settled:
            return
        call.settled = True
        if call.era != self.era:
            self.stale += verdict is not Verdict.UNSENT
            return
        self.out = [other for other in self.out if other is not call]
        if verdict in {Verdict.THROTTLED, Verdict.IGNORED, Verdict.UNSENT} or (self.pin and self.pin[0] == "disabled"):
            return
        failed = verdict in {Verdict.FAILURE, Verdict.DROPPED}
        self.counted["failure" if failed else "success"] += 1
        if self.pin:
            return
        self.log.append((now, failed, took))
        if call.trial:
            slow = any(isinstance(rule, SlowRate) and took > rule.slower_than for rule in self.rules)
            if failed or slow:
                self.open(now)
            else:
                self.wins += 1
                if self.wins == self.to_close:
                    self.fresh("closed")
        elif any(met(rule, self.log, now) for rule in self.rules):
            self.open(now)

    def by_hand(self, what: str, now: float) -> None:
        """Trip, half-open, reset, fork."""
        if what != "fork":
            self.pass_time(now)
        if what == "trip":
            self.open(now)
        elif what == "half_open":
            self.fresh("half-open")
        elif what == "reset":
            if self.pin:
                self.unpin(now)
            self.fresh("closed")
        elif what == "fork":
            if self.state == "half-open":
                self.state, self.due = "open", now
            self.fresh(self.state)

    def word(self, now: float) -> str:
        if self.pin and (self.pin[1] is None or now < self.pin[1]):
            return "disabled" if self.pin[0] == "disabled" else f"forced-{self.pin[0]}"
        if self.state == "open" and now >= self.due:
            return "half-open"
        return self.state
