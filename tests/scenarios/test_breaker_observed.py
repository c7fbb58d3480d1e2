"""A circuit that only watches: by a pin that ends, or for good; and the calls it would have refused."""

from typing import Any

import pytest

from seawall import CircuitBreaker, CircuitOpenError, ConfigurationError, Pipeline, Registry
from seawall.events.types import CallRejected, CallShadowed, CircuitClosed, CircuitHalfOpened, CircuitOpened
from seawall.testing import Recorder, VirtualClock, run_both, virtual_time
from seawall.testing.run import Driven


def fail() -> None:
    raise ConnectionError


def make(**more: Any) -> list[CircuitBreaker]:
    return [CircuitBreaker(2, recovery_timeout=10.0, success_threshold=1, **more)]


def outage(driven: Driven) -> list[Any]:
    """Three failing calls, one after the open period that succeeds; how each ended, and what was counted."""
    [breaker] = driven.pipeline.policies
    assert isinstance(breaker, CircuitBreaker)
    clock = driven.pipeline.clock
    assert isinstance(clock, VirtualClock)
    ends: list[Any] = []
    for function, wait in ((fail, 0.0), (fail, 0.0), (fail, 10.0), (int, 0.0)):
        try:
            ends.append(driven.call(function))
        except Exception as error:
            ends.append(type(error).__name__)
        clock.advance(wait)
    counters = breaker.snapshot().counters
    ends += [counters["requests.shadow_rejected"], counters["requests.rejected"]]
    ends += [counters.get(f"state_changes.{change}", 0) for change in ("closed.open", "half-open.closed")]
    return ends


def observed(driven: Driven) -> list[Any]:
    [breaker] = driven.pipeline.policies
    assert isinstance(breaker, CircuitBreaker)
    breaker.force("observe", owner="mia", reason="too strict?")
    return outage(driven)


def test_an_observed_circuit_refuses_nothing_and_makes_its_transitions():
    """R-CB1"""
    wanted = ["ConnectionError"] * 3 + [0, 1, 0, 1, 1]
    assert run_both(make, observed) == wanted
    assert run_both(lambda: make(shadow=True), outage) == wanted


def test_without_it_the_same_calls_are_refused():
    """R-CB1"""
    assert run_both(make, outage) == ["ConnectionError", "ConnectionError", "CircuitOpenError", 0, 0, 1, 1, 1]


def test_what_would_have_been_refused_is_reported_with_its_evidence():
    """R-CB1"""
    with virtual_time() as clock:
        registry = Registry()
        [breaker] = make()
        pipeline = Pipeline("d", breaker, registry=registry)
        breaker.force("observe", owner="mia", reason="too strict?")
        with Recorder(registry.bus) as recorder:
            for _ in range(3):
                pipeline.call_outcome(fail)
            clock.advance(10.0)
            pipeline.call(int)
        assert [type(event) for event in recorder.of(CircuitOpened, CircuitHalfOpened, CircuitClosed)] == [
            CircuitOpened, CircuitHalfOpened, CircuitClosed,
        ]  # fmt: skip
        [shadowed] = recorder.of(CallShadowed)
        assert (shadowed.reason, shadowed.retry_after, shadowed.evidence["state"]) == ("open", 10.0, "open")
        assert recorder.of(CallRejected) == []


def test_an_observed_circuit_reads_observe_and_shows_what_is_below():
    """R-CB1"""
    with virtual_time():
        [breaker] = make()
        breaker.trip()
        breaker.force("observe", owner="mia", reason="look")
        snapshot = breaker.snapshot()
        assert (breaker.state, snapshot.state, snapshot.details["below"]) == ("observe", "observe", "open")
        assert breaker.retry_after == 0.0
        assert snapshot.details["reason"] == "by mia: look"


def test_at_the_end_of_the_watch_the_circuit_decides_as_it_would_have():
    """R-CB1"""
    with virtual_time() as clock:
        [breaker] = make()
        pipeline = Pipeline("d", breaker, registry=None)
        breaker.force("observe", owner="mia", reason="look", expires_in=5.0)
        for _ in range(3):
            pipeline.call_outcome(fail)
        clock.advance(5.0)
        with pytest.raises(CircuitOpenError) as refusal:
            pipeline.call(int)
        assert refusal.value.retry_after == 5.0  # of ten, counted from the trip


def test_a_run_of_failures_goes_on_when_the_watch_begins():
    """R-CB1"""
    with virtual_time():
        [breaker] = make()
        pipeline = Pipeline("d", breaker, registry=None)
        pipeline.call_outcome(fail)
        breaker.force("observe", owner="mia", reason="look")
        pipeline.call_outcome(fail)
        assert breaker.snapshot().details["below"] == "open"


def test_the_end_of_a_call_let_through_in_shadow_says_nothing_of_the_trials():
    """R-CB1 R-CB5"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=1.0, half_open_max_calls=1, shadow=True)
        breaker.trip()
        clock.advance(1.0)
        trial, other = breaker.allow(), breaker.allow()
        assert (trial.trial, other.trial) == (True, False)
        other.failure()
        assert breaker.snapshot().details["below"] == "half-open"
        assert breaker.snapshot().counters["stale_results"] == 0


def test_a_breaker_built_in_shadow_cannot_be_forced_open():
    """R-CB1"""
    with pytest.raises(ConfigurationError, match="was built with shadow=True and refuses nothing"):
        CircuitBreaker(shadow=True, name="d").force("open", owner="mia", reason="drill")
