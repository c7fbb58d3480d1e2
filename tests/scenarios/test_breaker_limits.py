"""Where a circuit breaker draws its lines: what happens at exactly the limit, one test for each."""

from typing import Any

import pytest

from seawall import (
    CircuitBreaker,
    CircuitOpenError,
    ConsecutiveFailures,
    FailureCount,
    FailureRate,
    Pipeline,
    SlowRate,
)
from seawall.testing import VirtualClock, run_both, virtual_time
from seawall.testing.run import Driven


def fail() -> None:
    raise ConnectionError


def clock_of(driven: Driven) -> VirtualClock:
    clock = driven.pipeline.clock
    assert isinstance(clock, VirtualClock)
    return clock


def attempt(driven: Driven) -> None:
    """One call that fails."""
    with pytest.raises(ConnectionError):
        driven.call(fail)


def test_a_failure_rate_that_is_exactly_the_limit_trips():
    """R-CB2"""
    breaker = CircuitBreaker(trip=[FailureRate(0.5, calls=4, min_calls=4)])
    pipeline = Pipeline("d", breaker, registry=None)
    for end in (int, int, fail, fail):
        pipeline.call_outcome(end)
    assert breaker.state == "open"


def test_a_call_at_the_very_end_of_the_open_period_is_a_trial():
    """R-CB3"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=10.0)
        breaker.trip()
        clock.advance(9.875)
        assert getattr(breaker.acquire(), "reason", None) == "open"
        clock.advance(0.125)
        assert getattr(breaker.acquire(), "kind", None) == "trial"


def test_a_slow_rate_counts_only_what_took_longer_than_its_limit():
    """R-CB2"""

    def scenario(driven):
        [breaker] = driven.pipeline.policies
        clock = clock_of(driven)
        found = []
        for took in (1.0, 1.0, 1.125, 1.125):
            driven.call(lambda took=took: clock.advance(took))
            found.append(breaker.state)
        return found

    rules = [SlowRate(0.5, slower_than=1.0, calls=4, min_calls=4)]
    found = run_both(lambda: [CircuitBreaker(trip=rules)], scenario)
    assert found == ["closed", "closed", "closed", "open"]


def test_a_pin_ends_at_the_very_moment_it_expires():
    """R-CB1"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1)
        breaker.force("open", owner="mia", reason="drill", expires_in=5.0)
        clock.advance(4.875)
        assert breaker.state == "forced-open"
        clock.advance(0.125)
        assert breaker.state == "closed"


def test_a_failure_that_is_exactly_as_old_as_the_window_no_longer_counts():
    """R-CB2"""

    def scenario(driven):
        [breaker] = driven.pipeline.policies
        attempt(driven)
        clock_of(driven).advance(60.0)
        attempt(driven)
        exactly = breaker.state
        clock_of(driven).advance(59.875)
        attempt(driven)
        return exactly, breaker.state

    found = run_both(lambda: [CircuitBreaker(trip=[FailureCount(2, window=60.0)])], scenario)
    assert found == ("closed", "open")


def test_a_rate_is_judged_from_exactly_the_least_number_of_calls_on():
    """R-CB2"""

    def scenario(driven):
        [breaker] = driven.pipeline.policies
        states = []
        for _ in range(3):
            attempt(driven)
            states.append(breaker.state)
        return states

    found = run_both(lambda: [CircuitBreaker(trip=[FailureRate(1.0, min_calls=3)])], scenario)
    assert found == ["closed", "closed", "open"]


def test_each_rule_trips_on_its_own_beside_others_that_are_not_met():
    """R-CB2"""
    never = [FailureCount(99), FailureRate(1.0, min_calls=99), SlowRate(1.0, slower_than=99.0, min_calls=99)]
    for rule in (
        ConsecutiveFailures(2),
        FailureCount(2, window=60.0),
        FailureRate(1.0, calls=2, min_calls=2),
        FailureRate(1.0, window=30.0, min_calls=2),
        SlowRate(1.0, slower_than=1.0, calls=2, min_calls=2),
        SlowRate(1.0, slower_than=1.0, window=30.0, min_calls=2),
    ):
        with virtual_time() as clock:
            trip: list[Any] = [*never, rule]
            breaker = CircuitBreaker(trip=trip)
            pipeline = Pipeline("d", breaker, registry=None)
            for wanted in ("closed", "open"):
                slow = isinstance(rule, SlowRate)
                pipeline.call_outcome((lambda: clock.advance(2.0)) if slow else fail)
                assert breaker.state == wanted, rule


def test_a_ramp_is_over_at_its_very_end():
    """R-CB4"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=1.0, success_threshold=1, ramp=8.0, chance=lambda: 0.999)
        pipeline = Pipeline("d", breaker, registry=None)
        breaker.trip()
        clock.advance(1.0)
        pipeline.call(int)
        clock.advance(7.875)
        with pytest.raises(CircuitOpenError):
            pipeline.call(int)
        clock.advance(0.125)
        assert pipeline.call(int) == 0
