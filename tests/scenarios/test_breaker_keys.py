"""One breaker, a circuit for each key: apart, bounded, and secret unless told otherwise."""

import pytest

from seawall import CircuitBreaker, CircuitOpenError, ConfigurationError, Pipeline, Registry, Verdict
from seawall.core.permit import Ask, Permit
from seawall.events.types import CircuitForced, CircuitOpened
from seawall.testing import Recorder, run_both, virtual_time


def fetch(host: str) -> str:
    if host.startswith("bad"):
        raise ConnectionError(host)
    return host


def trip(breaker: CircuitBreaker, *keys: object) -> None:
    for key in keys:
        breaker.trip(key=key)


def test_a_failing_host_does_not_stop_calls_to_another():
    """R-CB7"""

    def scenario(driven):
        ends = []
        for host in ("bad", "good", "bad", "bad", "good"):
            try:
                ends.append(driven.pipeline.call(fetch, host))
            except Exception as error:
                ends.append(type(error).__name__)
        [breaker] = driven.pipeline.policies
        return ends, breaker.state_of("bad"), breaker.state_of("good"), breaker.state

    ends, bad, good, state = run_both(lambda: [CircuitBreaker(2, key="host")], scenario)
    assert ends == ["ConnectionError", "good", "ConnectionError", "CircuitOpenError", "good"]
    assert (bad, good, state) == ("open", "closed", "open")


def test_a_key_may_be_a_function_of_the_arguments_or_be_given_with_the_call():
    """R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key=lambda host: host[:3])
        pipeline = Pipeline("d", breaker, registry=None)
        pipeline.call_outcome(fetch, "bad.example")
        assert breaker.state_of("bad") == "open"
        pipeline.for_key("elsewhere").call_outcome(fetch, "bad.example")
        assert breaker.state_of("elsewhere") == "open"


def test_reading_a_key_makes_no_circuit():
    """R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host")
        assert (breaker.state_of("a"), breaker.retry_after_of("a")) == ("closed", 0.0)
        assert breaker.snapshot().gauges["keys"] == 0
        trip(breaker, "a")
        assert (breaker.state_of("a"), breaker.retry_after_of("a")) == ("open", 30.0)


def test_open_circuits_are_forgotten_last():
    """R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host", max_keys=3)
        trip(breaker, "open")
        for number in range(10):
            breaker.allow(f"k{number}").success()
        assert breaker.state_of("open") == "open"
        keys = breaker.snapshot().details["keys"]
        assert (keys["count"], keys["evicted"]) == (3, 8)


def test_a_closed_circuit_that_is_not_used_is_forgotten_and_an_open_one_is_not():
    """R-CB7"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(2, key="host", key_ttl=100.0)
        for key in ("a", "b"):
            breaker.allow(key).failure()
        breaker.trip(key="b")
        clock.advance(100.0)
        breaker.allow("a").failure()  # the first of a new circuit
        assert breaker.state_of("a") == "closed"
        assert breaker.state_of("b") == "half-open"


def test_counts_do_not_go_back_when_a_key_goes():
    """R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host", max_keys=1)
        for number in range(5):
            breaker.allow(number).success()
        assert breaker.snapshot().counters["requests.success"] == 5


def test_a_permit_ends_where_it_began_whatever_became_of_its_key():
    """R-CB5 R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host", max_keys=1)
        permit = breaker.acquire(Ask(key="a"))
        assert isinstance(permit, Permit)
        breaker.allow("b").success()  # "a" has to go
        breaker.record(permit, Verdict.FAILURE, 0.0)
        assert (breaker.state_of("a"), breaker.state_of("b")) == ("closed", "closed")
        assert breaker.snapshot().counters["requests.failure"] == 1


def test_keys_are_secret_in_events_errors_and_snapshots_unless_they_are_public():
    """R-CB7"""
    with virtual_time():
        for public in (False, True):
            registry = Registry()
            breaker = CircuitBreaker(1, key="host", public_keys=public, name="hosts")
            pipeline = Pipeline("p", breaker, registry=registry)
            with Recorder(registry.bus) as recorder:
                pipeline.call_outcome(fetch, "bad-secret")
                with pytest.raises(CircuitOpenError) as refusal:
                    pipeline.call(fetch, "bad-secret")
            told = f"{recorder.of(CircuitOpened)} {refusal.value} {breaker.snapshot()}"
            assert ("bad-secret" in told) == public
            assert refusal.value.name.startswith("hosts[")


def test_events_of_all_keys_are_numbered_without_gaps():
    """R-CB7"""
    with virtual_time():
        registry = Registry()
        breaker = CircuitBreaker(1, key="host")
        Pipeline("p", breaker, registry=registry)
        with Recorder(registry.bus) as recorder:
            trip(breaker, "a", "b", "c")
            breaker.reset(key="b")
        assert [event.number for event in recorder.events] == [1, 2, 3, 4]


def test_a_pin_holds_for_all_keys_those_that_come_later_too_and_is_told_once():
    """R-CB1 R-CB7"""
    with virtual_time() as clock:
        registry = Registry()
        breaker = CircuitBreaker(1, key="host")
        pipeline = Pipeline("p", breaker, registry=registry)
        pipeline.call(fetch, "a")
        with Recorder(registry.bus) as recorder:
            breaker.force("open", owner="mia", reason="drill", expires_in=60.0)
        assert len(recorder.of(CircuitForced)) == 1
        assert breaker.state == "forced-open"
        for host in ("a", "new"):
            assert breaker.state_of(host) == "forced-open"
            with pytest.raises(CircuitOpenError):
                pipeline.call(fetch, host)
        clock.advance(60.0)
        assert pipeline.call(fetch, "new") == "new"


def test_a_pin_may_hold_for_one_key():
    """R-CB1 R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host")
        pipeline = Pipeline("p", breaker, registry=None)
        breaker.force("open", owner="mia", reason="drill", key="a")
        with pytest.raises(CircuitOpenError):
            pipeline.call(fetch, "a")
        assert pipeline.call(fetch, "b") == "b"
        assert not breaker.release(key="b")
        assert breaker.release(key="a")
        assert pipeline.call(fetch, "a") == "a"


def test_all_keys_may_be_observed_and_decide_again_after_it():
    """R-CB1 R-CB7"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, key="host")
        pipeline = Pipeline("p", breaker, registry=None)
        breaker.force("observe", owner="mia", reason="look", expires_in=10.0)
        for _ in range(3):
            with pytest.raises(ConnectionError):
                pipeline.call(fetch, "bad")
        assert breaker.snapshot().counters["requests.shadow_rejected"] == 2
        assert (breaker.state, breaker.state_of("bad")) == ("observe", "observe")
        clock.advance(10.0)
        with pytest.raises(CircuitOpenError):
            pipeline.call(fetch, "bad")


def test_a_reset_closes_the_circuits_of_all_keys():
    """R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host")
        trip(breaker, "a", "b")
        breaker.reset()
        assert (breaker.state, breaker.state_of("a"), breaker.state_of("b")) == ("closed", "closed", "closed")


def test_a_snapshot_shows_the_ten_worst_keys():
    """R-CB7"""
    with virtual_time():
        breaker = CircuitBreaker(1, key="host", public_keys=True, name="h")
        trip(breaker, *range(12))
        breaker.half_open(key=3)
        breaker.allow("fine").success()
        snapshot = breaker.snapshot()
        assert snapshot.state == "open"
        worst = snapshot.details["keys"]["worst"]
        assert len(worst) == 10
        assert {one["state"] for one in worst} == {"open"}
        assert snapshot.gauges["keys"] == 13


def test_a_breaker_without_keys_refuses_to_be_asked_for_one():
    """R-CB7"""
    breaker = CircuitBreaker(name="d")
    for ask in (
        lambda: breaker.state_of("secret"),
        lambda: breaker.retry_after_of("secret"),
        lambda: breaker.reset(key="secret"),
        lambda: breaker.trip(key="secret"),
        lambda: breaker.release(key="secret"),
    ):
        with pytest.raises(ConfigurationError, match='"d" keeps one circuit for all calls') as refused:
            ask()
        assert "secret" not in str(refused.value)
