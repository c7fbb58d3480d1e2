"""How trial calls are judged while a circuit is half-open: in a row, or many together by their rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from seawall.machines.breaker_options import BreakerOptions

Settled = Literal["closed", "open"]


class Trials(Protocol):
    """The trial calls of one half-open period that have ended."""

    def room(self, out: int) -> bool:
        """Whether one more may start while `out` are under way."""

    def add(self, *, failed: bool, slow: bool = False) -> Settled | None:
        """Take in the end of one; where the circuit goes, or None while that is not settled. A slow one has failed."""

    def evidence(self) -> dict[str, int]:
        """What was counted, if they are judged together: calls, failures, slow ones."""


class InARow:
    """`needed` successes in a row close the circuit, the first failure opens it.

    At most `at_once` trials are under way, and no more than can still matter: those that succeeded and those that are
    out together never exceed the larger of `at_once` and `needed`.
    """

    __slots__ = ("at_once", "needed", "successes")

    def __init__(self, needed: int, at_once: int) -> None:
        self.needed = needed
        self.at_once = at_once
        self.successes = 0

    def room(self, out: int) -> bool:
        """See `Trials.room`."""
        return out < self.at_once and out + self.successes < max(self.at_once, self.needed)

    def add(self, *, failed: bool, slow: bool = False) -> Settled | None:
        """See `Trials.add`."""
        if failed or slow:
            return "open"
        self.successes += 1
        return "closed" if self.successes >= self.needed else None

    def evidence(self) -> dict[str, int]:
        """See `Trials.evidence`."""
        return {}


class ByRate:
    """`trials` calls are judged together: a share of failures of at least `rate` opens the circuit, less closes it.

    It is settled as soon as the trials still to come cannot change it, or if not `early` when all have ended.
    """

    __slots__ = ("at_once", "early", "ended", "failures", "rate", "slow", "trials")

    def __init__(self, trials: int, rate: float, at_once: int, *, early: bool = True) -> None:
        self.trials = trials
        self.rate = rate
        self.at_once = at_once
        self.early = early
        self.ended = 0
        self.failures = 0
        self.slow = 0

    def room(self, out: int) -> bool:
        """See `Trials.room`; never more than are needed for the judgement."""
        return out < min(self.at_once, self.trials - self.ended)

    def add(self, *, failed: bool, slow: bool = False) -> Settled | None:
        """See `Trials.add`."""
        self.ended += 1
        self.failures += failed
        self.slow += slow
        bad = self.failures + self.slow
        if not self.early and self.ended < self.trials:
            return None
        # divided and not multiplied, as for the trip rules: 7 of 100 is 0.07 in floats too
        if bad / self.trials >= self.rate:
            return "open"
        if (bad + self.trials - self.ended) / self.trials < self.rate:
            return "closed"
        return None

    def evidence(self) -> dict[str, int]:
        """See `Trials.evidence`."""
        return {"calls": self.ended, "failures": self.failures, "slow": self.slow}


def fresh_trials(options: BreakerOptions) -> Trials:
    """The judge of a new half-open period."""
    if options.half_open == "rate":
        return ByRate(
            options.half_open_trials,
            options.half_open_failure_rate,
            options.half_open_max_calls,
            early=options.half_open_early,
        )
    return InARow(options.success_threshold, options.half_open_max_calls)
