"""The circuit breaker once more, written from its rules and not from its code: a log of outcomes, judged by hand."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from seawall.core.verdict import Verdict
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import FailureCount, FailureRate, SlowRate

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
class Way:
    """How a circuit opens and finds its way back, beyond the plain rules; chance always gives the same number."""

    growth: float = 1.0
    cap: float = 8.0
    jitter: float = 0.0
    chance: float = 0.5
    max_open: float = 6.0
    trials: int | None = None  # judged together by `rate`
    rate: float = 0.5
    early: bool = True
    max_half_open: float | None = None
    ramp: float = 0.0
    shadow: bool = False


@dataclass
class Model:
    """What a breaker must do. `now` never goes back."""

    rules: list[Any]
    recovery: float
    at_once: int
    to_close: int
    lease: float
    way: Way = field(default_factory=Way)
    state: str = "closed"
    era: int = 0
    due: float = 0.0  # when an open circuit may be tried
    pin: tuple[str, float | None] | None = None
    log: list[Seen] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)  # of the trials of this half-open period: whether each failed
    out: list[Call] = field(default_factory=list)  # trials under way
    stale: int = 0
    openings: int = 0  # since it was closed
    half_open_since: float = 0.0
    ramp_from: float | None = None
    counted: dict[str, int] = field(
        default_factory=lambda: {"success": 0, "failure": 0, "rejected": 0, "shadow_rejected": 0}
    )

    def fresh(self, state: str) -> None:
        """A new era in `state`."""
        self.state, self.era, self.log, self.ends, self.out = state, self.era + 1, [], [], []

    def open(self, at: float, hint: float | None = None, *, by_hand: bool = False) -> None:
        """Open for a period that grows, is capped, jittered and at least what was asked for, in this order."""
        if not by_hand or self.openings == 0:
            self.openings += 1
        way = self.way
        period = Fraction(self.recovery) * Fraction(way.growth) ** (self.openings - 1)
        if way.growth > 1:
            period = min(period, Fraction(way.cap))
        period *= 1 + Fraction(way.jitter) * (2 * Fraction(way.chance) - 1)
        if way.growth > 1 and period > way.cap:
            period = 2 * Fraction(way.cap) - period
        if hint is not None:
            period = max(period, Fraction(min(hint, way.max_open)))
        self.fresh("open")
        self.due = at + float(period)

    def half_open(self, now: float) -> None:
        self.fresh("half-open")
        self.half_open_since = now

    def close(self, now: float, *, by_hand: bool = False) -> None:
        self.fresh("closed")
        self.openings = 0
        self.ramp_from = None if by_hand or not self.way.ramp else now

    @property
    def held(self) -> str | None:
        """A pin that decides in the circuit's place."""
        return self.pin[0] if self.pin and self.pin[0] != "observe" else None

    def judge(self, *, failed: bool) -> str | None:
        """One more trial has ended: where the circuit goes."""
        self.ends.append(failed)
        if self.way.trials is None:
            return "open" if failed else "closed" if len(self.ends) == self.to_close else None
        if not self.way.early and len(self.ends) < self.way.trials:
            return None
        left, bad, rate = self.way.trials - len(self.ends), sum(self.ends), Fraction(str(self.way.rate))
        if Fraction(bad, self.way.trials) >= rate:  # even if all others succeed
            return "open"
        return "closed" if Fraction(bad + left, self.way.trials) < rate else None

    def pass_time(self, now: float) -> None:
        """What time alone does, moment by moment."""
        if self.pin and self.pin[1] is not None and now >= self.pin[1]:
            self.unpin(now)
        while self.state == "half-open":
            over = [] if self.way.max_half_open is None else [(self.half_open_since + self.way.max_half_open, 0, None)]
            ends = [(call.ends, 1, call) for call in self.out if call.ends is not None]
            due = [event for event in (*over, *ends) if event[0] <= now]
            if not due:
                return
            at, _, call = min(due, key=lambda event: event[:2])
            if call is None:
                self.open(at)
                return
            self.out = [other for other in self.out if other is not call]
            call.era = -1  # nobody waits for it any more
            if self.judge(failed=True) == "open":
                self.open(at)

    def unpin(self, now: float) -> None:
        observed = self.held is None
        self.pin = None
        if observed:
            return
        if self.state == "half-open":
            self.state, self.due = "open", now
        self.fresh(self.state)

    def force(self, state: str, until: float | None) -> None:
        if state != "observe" or self.held is not None:
            self.fresh(self.state)
        self.pin = (state, until)

    def ask(self, now: float, *, held: bool) -> Call | tuple[str, float | None]:
        """A permit, or why not and for how long."""
        self.pass_time(now)
        if self.held == "open":
            assert self.pin is not None
            return self.refuse("forced_open", None if self.pin[1] is None else self.pin[1] - now)
        if self.held:
            return Call(self.era, trial=False)
        if self.state == "closed":
            if self.ramp_from is not None:
                since = now - self.ramp_from
                if since >= self.way.ramp:
                    self.ramp_from = None
                elif self.way.chance > max(0.1, since / self.way.ramp):
                    return self.refuse("ramp", self.way.chance * self.way.ramp - since)
            return Call(self.era, trial=False)
        if self.state == "open":
            if now < self.due:
                return self.refuse("open", self.due - now)
            self.half_open(now)
        places = self.at_once
        if self.way.trials is None:  # no more than can still matter
            places = min(places, max(self.at_once, self.to_close) - sum(not bad for bad in self.ends))
        if self.way.trials is not None:
            places = min(places, self.way.trials - len(self.ends))
        if len(self.out) >= places:
            ends = [call.ends for call in self.out if call.ends is not None]
            return self.refuse("trials_busy", min(ends) - now if ends else None)
        call = Call(self.era, trial=True, ends=None if held else now + self.lease)
        self.out.append(call)
        return call

    def refuse(self, reason: str, left: float | None) -> Call | tuple[str, float | None]:
        if self.way.shadow or (self.pin and self.pin[0] == "observe"):
            self.counted["shadow_rejected"] += 1
            return Call(self.era, trial=False, settled=True)
        self.counted["rejected"] += 1
        return reason, left

    def begin(self, call: Call, now: float) -> None:
        """The lease of a trial starts anew with the call itself, unless it has ended."""
        self.pass_time(now)
        if any(call is other for other in self.out):
            call.ends = now + self.lease

    def settle(self, call: Call, verdict: Verdict, took: float, now: float, hint: float | None) -> None:
        """The end of a call."""
        self.pass_time(now)
        if call.settled:
            return
        call.settled = True
        if call.era != self.era:
            self.stale += verdict is not Verdict.UNSENT
            return
        self.out = [other for other in self.out if other is not call]
        if verdict in {Verdict.THROTTLED, Verdict.IGNORED, Verdict.UNSENT} or self.held == "disabled":
            return
        failed = verdict in {Verdict.FAILURE, Verdict.DROPPED}
        self.counted["failure" if failed else "success"] += 1
        if self.held:
            return
        self.log.append((now, failed, took))
        if call.trial:
            slow = any(isinstance(rule, SlowRate) and took > rule.slower_than for rule in self.rules)
            where = self.judge(failed=failed or slow)
            if where == "open":
                self.open(now, hint)
            elif where == "closed":
                self.close(now)
        elif any(met(rule, self.log, now) for rule in self.rules):
            self.open(now, hint)

    def by_hand(self, what: str, now: float) -> None:
        """Trip, half-open, reset, fork."""
        if what != "fork":
            self.pass_time(now)
        if what == "trip":
            self.open(now, by_hand=True)
        elif what == "half_open":
            self.half_open(now)
        elif what == "reset":
            if self.pin:
                self.unpin(now)
            self.close(now, by_hand=True)
        elif what == "fork":
            if self.state == "half-open":
                self.state, self.due = "open", now
            self.fresh(self.state)

    def word(self, now: float) -> str:
        if self.pin and (self.pin[1] is None or now < self.pin[1]):
            return self.pin[0] if self.pin[0] in {"disabled", "observe"} else f"forced-{self.pin[0]}"
        return "observe" if self.way.shadow else self.below(now)

    def below(self, now: float) -> str:
        return "half-open" if self.state == "open" and now >= self.due else self.state
