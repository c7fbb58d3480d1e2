"""Permits for code that cannot be wrapped."""

import asyncio

import pytest

from seawall import CircuitBreaker, CircuitOpenError, ConfigurationError, SlowRate
from seawall.testing import run_threads, virtual_time


class Asks(ConnectionError):
    retry_after = 42.0


def test_failures_said_by_hand_open_the_circuit_and_successes_close_it():
    """R-CB8"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(2, recovery_timeout=10.0, success_threshold=1)
        for _ in range(2):
            breaker.record_failure(breaker.allow(), ConnectionError())
        with pytest.raises(CircuitOpenError) as refusal:
            breaker.allow()
        assert refusal.value.retry_after == 10.0
        assert breaker.snapshot().details["evidence"]["causes"] == {"ConnectionError": 2}
        clock.advance(10.0)
        permit = breaker.allow()
        assert permit.trial
        breaker.record_success(permit)
        assert breaker.state == "closed"


def test_only_the_first_end_of_a_permit_counts():
    """R-CB5 R-CB8"""
    with virtual_time():
        breaker = CircuitBreaker(2)
        permit = breaker.allow()
        permit.ignore()
        for _ in range(5):
            permit.failure()
            breaker.record_failure(permit)
        assert permit.settled
        assert breaker.state == "closed"
        assert breaker.snapshot().counters["failures"] == 0


def test_a_permit_ends_itself_as_a_context_manager():
    """R-CB8"""
    with virtual_time():
        breaker = CircuitBreaker(1, ignore=KeyError)
        with breaker.allow():
            pass
        with pytest.raises(KeyError), breaker.allow():
            raise KeyError
        with pytest.raises(asyncio.CancelledError), breaker.allow():
            raise asyncio.CancelledError
        counters = breaker.snapshot().counters
        assert (counters["requests.success"], counters["requests.failure"]) == (1, 0)
        with pytest.raises(OSError), breaker.allow():
            raise OSError
        assert breaker.state == "open"


def test_an_end_may_be_said_before_the_block_is_left():
    """R-CB8"""
    with virtual_time():
        breaker = CircuitBreaker(1)
        with breaker.allow() as permit:
            permit.failure()
        assert breaker.state == "open"


def test_the_duration_is_measured_from_allow():
    """R-CB8"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(trip=[SlowRate(1.0, slower_than=2.0, calls=1, min_calls=1)])
        permit = breaker.allow()
        clock.advance(2.125)
        permit.success()
        assert breaker.state == "open"


def test_a_failure_hands_its_hint_on():
    """R-CB3 R-CB8"""
    with virtual_time():
        breaker = CircuitBreaker(1, recovery_timeout=10.0)
        breaker.allow().failure(Asks())
        assert breaker.retry_after == 42.0


def test_a_trial_that_is_never_ended_is_written_off_when_its_lease_ends():
    """R-CB8"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=10.0, half_open_max_calls=1, lease=5.0)
        breaker.trip()
        clock.advance(10.0)
        permit = breaker.allow()
        clock.advance(4.875)
        assert breaker.state == "half-open"
        clock.advance(0.125)
        assert breaker.state == "open"
        permit.success()
        assert breaker.state == "open"
        assert breaker.snapshot().counters["stale_results"] == 1


def test_a_plain_permit_that_is_never_ended_leaves_no_trace():
    """R-CB8"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1)
        for _ in range(100):
            breaker.allow()
        clock.advance(3600.0)
        assert breaker.state == "closed"
        assert breaker.snapshot().gauges["trials"] == 0


def test_another_thread_may_end_a_permit():
    """R-CB8"""
    with virtual_time():
        breaker = CircuitBreaker(1)
        permit = breaker.allow()
        run_threads(permit.failure)
        assert breaker.state == "open"


def test_a_permit_is_asked_of_the_circuit_of_its_key():
    """R-CB7 R-CB8"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host")
        breaker.allow("a").failure()
        with pytest.raises(CircuitOpenError):
            breaker.allow("a")
        breaker.allow("b").success()


def test_what_allow_did_not_give_is_refused():
    """R-CB8"""
    breaker = CircuitBreaker(1)
    with pytest.raises(ConfigurationError, match=r"record_success\(None\): give it the permit that allow\(\) returned"):
        breaker.record_success(None)  # type: ignore[arg-type]  # what a type checker would refuse
