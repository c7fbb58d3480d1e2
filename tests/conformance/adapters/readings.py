"""What adapters read off a breaker, and how they move time."""

from typing import Any

from seawall import CircuitBreaker, FailureRate
from seawall.machines.trip import ConsecutiveFailures
from seawall.testing import VirtualClock
from tests.conformance.language import Keys, close

_NEVER = 1_000_000

#: Two rules that never trip: they count the calls of an era for breakers whose own rules keep less.
INSTRUMENTS = (ConsecutiveFailures(_NEVER), FailureRate(1.0, calls=_NEVER, min_calls=_NEVER))

#: Counts of other libraries that seawall does not keep. They are left out of the comparison; a test makes sure that
#: no core vector has them.
NOT_KEPT = frozenset({"consecutive_successes"})


def move(clock: VirtualClock, step: Keys, open_duration: float) -> None:
    """Set or advance the clock as a step says; a step back is possible, unlike `advance`."""
    if (at := step.take("at")) is not None:
        if at >= clock.now():
            clock.advance(at - clock.now())
        clock._now = float(at)  # exactly: the sum of two floats may miss it
    if (by := step.take("advance")) is not None:
        clock.advance(open_duration if by == "open_duration" else by)


def counts_of(breaker: CircuitBreaker) -> dict[str, Any]:
    """The counts of the present era, and what the last transition rested on."""
    machine = breaker._machine
    now = breaker.clock.now()
    machine.tick(now)
    *own, run, instrument = machine.trackers
    windows = [tracker.window for tracker in own if hasattr(tracker, "window") and hasattr(tracker.window, "counts")]
    window = (windows[-1] if windows else instrument.window).counts(now)  # type: ignore[attr-defined]
    least = max((rule.min_calls for rule in breaker._options.trip[:-2] if hasattr(rule, "min_calls")), default=1)
    return {
        "requests": window.calls + len(machine.trials),
        "successes": window.successes,
        "failures": window.failures,
        "slow": window.slow,
        "failure_rate": window.failure_rate if window.calls >= least else None,
        "slow_rate": window.slow_rate if window.calls >= least else None,
        "consecutive_failures": run.run,  # type: ignore[attr-defined]
        "rejected": machine.counts["rejected"],
    }


def evidence_of(breaker: CircuitBreaker) -> dict[str, Any]:
    """What an open circuit says about why it opened, in the words of the vectors."""
    evidence = breaker._machine.evidence
    if evidence.get("rule") == "consecutive_failures":
        return {"consecutive_failures": evidence["failures"]}
    calls = evidence.get("calls", 0)
    if not calls:
        return {}
    return {
        "requests": calls,
        "successes": calls - evidence["failures"],
        "failures": evidence["failures"],
        "slow": evidence["slow"],
        "failure_rate": evidence["failures"] / calls,
        "slow_rate": evidence["slow"] / calls,
    }


def check_counts(breaker: CircuitBreaker, expected: dict[str, Any], tolerance: float) -> None:
    """Compare counts.

    Some libraries keep the last window of an open circuit, some clear it; ours clears it and keeps it as evidence, so
    either reading is answered from its place. Excluded calls are no requests of ours.
    """
    expected = {name: value for name, value in expected.items() if name not in NOT_KEPT}
    excluded = expected.pop("excluded", 0)
    if "requests" in expected:
        expected["requests"] -= excluded
    actual = counts_of(breaker)
    if breaker._machine.state == "open" and any(expected.values()):
        actual = {**actual, **evidence_of(breaker)}
    for name, value in expected.items():
        assert close(actual[name], value, tolerance), f"{name} is {actual[name]}, expected {value}"


def shape(error: BaseException) -> tuple[int, int]:
    """(frames, chained errors) of an error: both must not grow from one refusal to the next."""
    frames, traceback = 0, error.__traceback__
    while traceback is not None:
        frames, traceback = frames + 1, traceback.tb_next
    chain, cause = 0, error.__context__ or error.__cause__
    while cause is not None:
        chain, cause = chain + 1, cause.__context__ or cause.__cause__
    return frames, chain
