"""The states of one circuit and what moves it between them: results, time and hands come in from `breaker.py`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seawall.events.types import CircuitClosed, CircuitHalfOpened, CircuitOpened, CircuitReleased, RawEvent
from seawall.machines.breaker_options import BreakerOptions, Forced, State, Tally, open_period
from seawall.machines.half_open import fresh_trials

if TYPE_CHECKING:
    from seawall.core.chance import Chance
    from seawall.core.permit import Permit


class Circuit:
    """The state of one circuit, and its transitions. Moments are seconds on one clock.

    Args:
        name: in its events.
        options: the settings.
        chance: source of jitter and of the ramp; one that gives 0.5 by default, which is no jitter.
        tally: counts, shared by the machines of one policy; its own by default.
        outbox: where events go, shared likewise.
    """

    __slots__ = (
        "causes", "chance", "era", "evidence", "forced", "half_opened_at", "name", "next_id", "opened_at", "openings",
        "options", "outbox", "period", "ramp_from", "reason", "retry_at", "score", "state", "tally", "trackers",
        "trials",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        options: BreakerOptions,
        chance: Chance = lambda: 0.5,
        tally: Tally | None = None,
        outbox: deque[RawEvent] | None = None,
    ) -> None:
        self.name = name
        self.options = options
        self.chance = chance
        self.tally = Tally() if tally is None else tally
        self.outbox: deque[RawEvent] = deque() if outbox is None else outbox
        self.state: State = "closed"
        self.era = 1
        self.next_id = 0
        self.forced: Forced | None = None
        self.opened_at = 0.0  # when it last left closed
        self.openings = 0  # since it was last closed
        self.period = 0.0  # of the present or last opening
        self.retry_at = 0.0
        self.half_opened_at = 0.0
        self.ramp_from: float | None = None  # when it closed, while it lets calls through by degrees
        self.reason = ""
        self.evidence: dict[str, Any] = {}
        self.score = fresh_trials(options)
        self.trials: dict[int, Permit] = {}
        self.trackers = [rule.tracker() for rule in options.trip]
        self.causes: deque[str] = deque(maxlen=100)

    @property
    def counts(self) -> dict[str, int]:
        """Calls by how they ended here."""
        return self.tally.counts

    @property
    def transitions(self) -> Counter[tuple[str, str]]:
        """How often it went from one state to another."""
        return self.tally.transitions

    @property
    def stale_results(self) -> int:
        """Results of calls that an earlier era had admitted."""
        return self.tally.stale_results

    # -------------------------------------------------------------------- time

    def tick(self, now: float) -> None:
        """Let time do its work: pins expire, trials whose lease has ended fail."""
        self._settle_time(now)

    def _settle_time(self, now: float) -> None:
        """End what has run out by `now`."""
        forced = self.forced
        if forced is not None and forced.until is not None and now >= forced.until:
            self._unforce("expired", forced.owner, now)
        if self.state == "closed":
            return
        self._bound(now)
        while self.state == "half-open":
            # the first end counts: the circuit has been open since then, and a later trial may already be due
            leased = [trial for trial in self.trials.values() if trial.expires_at is not None]
            first = min(leased, key=lambda trial: trial.expires_at or 0.0, default=None)
            ends = None if first is None else first.expires_at
            limit = self.options.max_half_open
            over = None if limit is None else self.half_opened_at + limit
            if over is not None and now >= over and (ends is None or over <= ends):
                self._to_open("half_open_ended", {}, over)
            elif first is not None and ends is not None and now >= ends:
                self._write_off(first, ends)
            else:
                return

    def _write_off(self, trial: Permit, at: float) -> None:
        """A trial has not come back in its time: it has failed, and should it come back, that is stale.

        One that rests has not failed, but its place is given back all the same: who holds a stream and never asks for
        its next item must not keep the circuit from being tried.
        """
        del self.trials[trial.id]
        trial.era = 0
        if trial.resting:
            return
        self.causes.append("no result")
        if self.score.add(failed=True) == "open":
            self._to_open("lease_ended", {**self.score.evidence(), "causes": dict(Counter(self.causes))}, at)

    def _bound(self, now: float) -> None:
        """Let nothing lie further ahead than it can: a clock that went back costs one more period, and no more."""
        self.retry_at = min(self.retry_at, now + self.period)
        self.half_opened_at = min(self.half_opened_at, now)
        for trial in self.trials.values():
            if trial.expires_at is not None:
                trial.expires_at = min(trial.expires_at, now + self.options.lease)

    def word(self, now: float) -> str:
        """The state in one word, as of `now`, without changing it: that of a pin or of shadow, or the one below."""
        forced = self.forced
        if forced is not None and (forced.until is None or now < forced.until):
            return forced.state if forced.state in {"disabled", "observe"} else f"forced-{forced.state}"
        return "observe" if self.options.shadow else self.below(now)

    def below(self, now: float) -> str:
        """The machine's own state.

        An open circuit whose period is over reads "half-open": the next call will be a trial.
        """
        if self.state == "open":
            return "open" if now < self.retry_at else "half-open"
        return self.state

    def retry_after(self, now: float) -> float:
        """Seconds until the next trial call may be let through; 0 when calls may go now."""
        forced = self.forced
        if forced is not None and (forced.until is None or now < forced.until):
            return 0.0 if forced.state != "open" or forced.until is None else forced.until - now
        if self.state != "open" or self.options.shadow:
            return 0.0
        return min(max(0.0, self.retry_at - now), self.period)

    def trial_at(self, now: float) -> float | None:
        """The moment from which a trial can be had; None while there is nothing to try, or a pin has no end."""
        if self.state == "closed":
            return None
        forced = self.forced
        if forced is not None and forced.state != "observe" and (forced.until is None or now < forced.until):
            return forced.until
        return self.retry_at if self.state == "open" else now

    # ------------------------------------------------------------- transitions

    def _to_open(self, reason: str, evidence: Mapping[str, Any], now: float, hint: float | None = None) -> None:
        """Open from `now` on, for a period that grows with every opening in a row."""
        if self.state == "closed":
            self.opened_at = now
        if reason != "manual" or not self.openings:  # by hand says nothing about the dependency
            self.openings += 1
        self.period = open_period(self.options, self.openings, hint, self.chance)
        self.retry_at = now + self.period
        self._move("open", reason, evidence)
        self._emit(CircuitOpened, now, reason, self.period, self.evidence)

    def _to_half_open(self, reason: str, now: float) -> None:
        """Let trial calls through."""
        self.retry_at = min(self.retry_at, now)  # by hand it may come before its time, and a fork looks at it
        self.half_opened_at = now
        self._move("half-open", reason, self.evidence)
        self._emit(CircuitHalfOpened, now, reason, self.options.half_open_max_calls)

    def _to_closed(self, reason: str, now: float) -> None:
        """Let calls through: every one after a reset by hand, else by degrees if there is a ramp."""
        was_open_for = now - self.opened_at if self.state != "closed" else 0.0
        self.openings = 0
        self.ramp_from = now if self.options.ramp and reason != "manual" else None
        self._move("closed", reason, {})
        self._emit(CircuitClosed, now, reason, was_open_for)

    def _move(self, state: State, reason: str, evidence: Mapping[str, Any]) -> None:
        """Enter a state with a new era and fresh counts."""
        self.tally.transitions[(self.state, state)] += 1
        self.state = state
        self.reason = reason
        self.evidence = dict(evidence)
        self._new_era()

    def _new_era(self) -> None:
        """Make every permit out there stale and start counting afresh."""
        self.era += 1
        self.score = fresh_trials(self.options)
        self.trials = {}
        self.trackers = [rule.tracker() for rule in self.options.trip]
        self.causes.clear()

    def _emit(self, kind: type, now: float, *fields: object) -> None:
        """Put an event into the outbox, numbered."""
        self.tally.number += 1
        self.outbox.append((kind, self.tally.number, now, self.name, *fields))

    def _unforce(self, reason: str, owner: str, now: float) -> None:
        """End a pin: a closed circuit counts afresh, any other goes through trial calls; one observed goes on as is."""
        observed = self.forced is not None and self.forced.state == "observe"
        self.forced = None
        if not observed:
            self._new_era()
            if self.state == "half-open":  # its trials are stale now
                self.state = "open"
                self.retry_at = now
        self._emit(CircuitReleased, now, self.word(now), owner, reason)
