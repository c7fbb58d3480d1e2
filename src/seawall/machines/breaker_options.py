"""What a circuit breaker is told: its settings, a pin laid upon it, and how long it stays open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from seawall.machines.trip import ConsecutiveFailures

if TYPE_CHECKING:
    from seawall.core.chance import Chance
    from seawall.machines.trip import TripRule

State = Literal["closed", "open", "half-open"]
ForcedState = Literal["open", "closed", "disabled", "observe"]
HalfOpen = Literal["consecutive", "rate"]

FORCED_STATES: tuple[str, ...] = ("open", "closed", "disabled", "observe")
LEAST_SHARE = 0.1  # of the calls, let through at the start of a ramp: fewer would hide whether it works


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
        recovery_timeout: seconds it stays open the first time.
        half_open_max_calls: trial calls at once when half-open.
        success_threshold: trial calls in a row that must succeed to close it.
        lease: seconds a trial call may take before it counts as failed.
        growth: what the open period is multiplied by with each opening since it was last closed; from 1.
        max_recovery_timeout: ceiling of a period that grows, seconds.
        recovery_jitter: share p of the period: it is multiplied by U(1 - p, 1 + p).
        max_open: longest period in seconds that a response may ask for.
        half_open: "consecutive" (the first failed trial opens) or "rate" (many trials are judged together).
        half_open_trials: how many are judged together.
        half_open_failure_rate: the share of failed ones that opens the circuit.
        half_open_early: settle that as soon as the trials to come cannot change it, or only when all have ended.
        max_half_open: seconds after which a half-open circuit opens again; None for never.
        ramp: seconds over which a circuit that has closed lets more and more calls through; 0 for all at once.
        shadow: decide, count and report, but refuse nothing.
    """

    trip: Sequence[TripRule]
    recovery_timeout: float = 30.0
    half_open_max_calls: int = 3
    success_threshold: int = 2
    lease: float = 60.0
    growth: float = 1.0
    max_recovery_timeout: float = 120.0
    recovery_jitter: float = 0.0
    max_open: float = 300.0
    half_open: HalfOpen = "consecutive"
    half_open_trials: int = 10
    half_open_failure_rate: float = 0.5
    half_open_early: bool = True
    max_half_open: float | None = None
    ramp: float = 0.0
    shadow: bool = False


USUAL = BreakerOptions((ConsecutiveFailures(5),))  #: where none are given: one object for all breakers


class Tally:
    """Counts that only grow. The machines of one policy share one, so that no key that goes takes counts along."""

    __slots__ = ("counts", "number", "stale_results", "transitions")

    def __init__(self) -> None:
        self.counts = {"success": 0, "failure": 0, "rejected": 0, "shadow_rejected": 0}
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.stale_results = 0
        self.number = 0  # of the last event


def open_period(options: BreakerOptions, openings: int, hint: float | None, chance: Chance) -> float:
    """Seconds a circuit stays open: base × growth^(n - 1), capped, jittered, and at least what was asked for.

    Args:
        options: the settings.
        openings: n, how often it has opened since it was last closed, this time included; from 1.
        hint: seconds the response that opened it asks to wait; at most `max_open` of them are heeded.
        chance: source of jitter; not asked without jitter.
    """
    period = options.recovery_timeout
    if options.growth > 1.0:
        cap = options.max_recovery_timeout
        try:
            period = min(cap, period * options.growth ** (openings - 1))
        except OverflowError:
            period = cap
    share = options.recovery_jitter
    if share:
        period *= 1.0 - share + 2.0 * share * chance()
        if options.growth > 1.0 and period > options.max_recovery_timeout:
            # folded and not cut: cutting would leave a whole fleet at exactly the cap
            period = 2.0 * options.max_recovery_timeout - period
    return period if hint is None else max(period, min(hint, options.max_open))
