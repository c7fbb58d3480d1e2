"""What people and dashboards see of a policy, and what they do to it."""

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    ConsecutiveFailures,
    FailureCount,
    FailureRate,
    Fallback,
    Pipeline,
    RateLimitedError,
    RateLimiter,
    Registry,
    Retry,
    SlowRate,
    Timeout,
    Verdict,
)
from seawall.events.types import CircuitForced, CircuitReleased
from seawall.testing import Recorder, virtual_time


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def registry(clock):
    return Registry()


def fail(*args):
    raise ConnectionError("no")


def test_a_pinned_circuit_says_by_whom_why_and_until_when(clock, registry):
    """R-CB1"""
    breaker = CircuitBreaker(1)
    pipeline = Pipeline("db", breaker, registry=registry)
    with Recorder(registry.bus) as recorder:
        breaker.force("open", owner="mia", reason="migration", expires_in=60.0)
        assert breaker.state == "forced-open"
        assert breaker.retry_after == 60.0
        assert breaker.snapshot().details["reason"] == "by mia: migration"
        assert breaker.snapshot().details["forced"]["expires_at"] == clock.wall() + 60.0
        with pytest.raises(CircuitOpenError) as caught:
            pipeline.call(int)
        assert caught.value.retry_after == 60.0
        clock.advance(60.0)
        assert pipeline.call(int) == 0
    assert recorder.of(CircuitForced)[0].owner == "mia"
    assert recorder.of(CircuitReleased)[0].reason == "expired"
    assert breaker.snapshot().details["forced"] is None


def test_a_listener_may_look_at_a_circuit_when_it_is_pinned(clock, registry):
    """R-CB1"""
    breaker = CircuitBreaker(1)
    Pipeline("db", breaker, registry=registry)
    seen = []
    registry.bus.listen(lambda event: seen.append((type(event).__name__, breaker.state)))
    breaker.force("closed", owner="mia", reason="test", expires_in=None)
    breaker.release(owner="mia")
    breaker.trip()
    breaker.half_open()
    breaker.reset()
    assert seen == [
        ("CircuitForced", "forced-closed"),
        ("CircuitReleased", "closed"),
        ("CircuitOpened", "open"),
        ("CircuitHalfOpened", "half-open"),
        ("CircuitClosed", "closed"),
    ]


def test_a_disabled_circuit_neither_counts_nor_refuses(clock, registry):
    """R-CB1"""
    breaker = CircuitBreaker(1)
    pipeline = Pipeline("db", breaker, registry=registry)
    breaker.force("disabled", owner="mia", reason="test", expires_in=None)
    for _ in range(3):
        assert not pipeline.call_outcome(fail).ok
    assert breaker.state == "disabled"
    assert breaker.snapshot().counters["requests.failure"] == 0
    assert breaker.retry_after == 0.0
    assert breaker.release() is True
    assert breaker.release() is False
    assert breaker.state == "closed"


def test_a_circuit_opened_by_hand_recovers_by_itself(clock):
    """R-CB1"""
    breaker = CircuitBreaker(5, recovery_timeout=10.0)
    breaker.trip()
    assert breaker.state == "open"
    assert breaker.snapshot().details["reason"] == "by hand"
    clock.advance(10.0)
    assert breaker.state == "half-open"


def test_a_reset_takes_off_the_pin_and_closes_the_circuit(clock):
    """R-CB1"""
    breaker = CircuitBreaker(1)
    breaker.reset()
    breaker.trip()
    breaker.force("open", owner="mia", reason="test")
    breaker.reset()
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    "breaker, calls, reason",
    [
        (lambda: CircuitBreaker(2), 2, "2 calls in a row failed (2 × ConnectionError)"),
        (
            lambda: CircuitBreaker(trip=[FailureRate(calls=4, min_calls=2)]),
            2,
            "2 of 2 calls failed (2 × ConnectionError)",
        ),
    ],
)
def test_an_open_circuit_says_why(clock, registry, breaker, calls, reason):
    """R-PL4"""
    breaker = breaker()
    pipeline = Pipeline("db", breaker, registry=registry)
    for _ in range(calls):
        pipeline.call_outcome(fail)
    assert breaker.snapshot().details["reason"] == reason
    assert breaker.snapshot().details["since"] == clock.wall()
    clock.advance(30.0)
    pipeline.call_outcome(fail)
    assert breaker.snapshot().details["reason"] == "a trial call failed (1 × ConnectionError)"


def test_a_breakers_rules_read_as_code():
    """R-CB2"""
    assert CircuitBreaker().rules == ["ConsecutiveFailures(threshold=5)"]
    assert CircuitBreaker(trip=[SlowRate(0.5, calls=5, min_calls=5)]).rules[0].startswith("SlowRate(rate=0.5,")


def test_default_lease_is_twice_the_timeout_per_attempt_unless_it_is_given():
    """R-CB4"""

    def lease(breaker, *inner):
        Pipeline("p", breaker, *inner, registry=None)
        return breaker.snapshot().details["options"]["lease"]

    assert lease(CircuitBreaker()) == 60.0
    assert lease(CircuitBreaker(), Timeout(5.0)) == 10.0
    assert lease(CircuitBreaker(lease=7.0), Timeout(5.0)) == 7.0


def test_a_breaker_judges_by_its_own_rule_before_the_default_one(clock, registry):
    """R-CB2"""
    breaker = CircuitBreaker(1, classify=lambda error, value: Verdict.FAILURE if value == "bad" else None)
    pipeline = Pipeline("db", breaker, registry=registry)
    assert pipeline.call(str, "good") == "good"
    assert breaker.state == "closed"
    assert pipeline.call(str, "bad") == "bad"
    assert breaker.state == "open"


@pytest.mark.parametrize(
    "options, error, state",
    [
        ({"ignore": KeyError}, KeyError, "closed"),
        ({"ignore": (KeyError, ValueError)}, ValueError, "closed"),
        ({"ignore": KeyError}, ValueError, "open"),
        ({"record": OSError}, ValueError, "closed"),
        ({"record": OSError}, ConnectionError, "open"),
        ({"record": OSError, "ignore": ConnectionError}, ConnectionError, "closed"),
    ],
)
def test_a_breaker_counts_only_the_errors_it_is_told_to(clock, registry, options, error, state):
    """R-CB2"""
    breaker = CircuitBreaker(1, **options)
    pipeline = Pipeline("db", breaker, registry=registry)

    def raising():
        raise error

    pipeline.call_outcome(raising)
    assert breaker.state == state


def test_a_reset_limiter_is_full_and_forgets_the_pause(clock, registry):
    """R-RL1"""
    limiter = RateLimiter("1/minute", burst=2)
    pipeline = Pipeline("api", limiter, registry=registry)
    pipeline.call(int)
    pipeline.call(int)
    with pytest.raises(RateLimitedError) as caught:
        pipeline.call(int)
    assert caught.value.retry_after == 60.0
    assert limiter.snapshot().gauges["tokens"] == 0.0
    limiter.reset()
    assert limiter.snapshot().gauges["tokens"] == 2.0
    assert pipeline.call(int) == 0


def test_a_rates_burst_is_one_seconds_worth_and_at_least_one_call():
    """R-RL1"""
    assert RateLimiter("60/minute").burst == 1.0
    assert RateLimiter("100/second").burst == 100.0
    assert RateLimiter("36000/hour").burst == 10.0
    assert RateLimiter("1/day").burst == 1.0


def test_a_bulkhead_shows_who_is_inside_and_for_how_long(clock, registry):
    """R-BH1"""
    bulkhead = Bulkhead(2)
    pipeline = Pipeline("db", bulkhead, registry=registry)
    with pipeline.permit():
        clock.advance(3.0)
        gauges = bulkhead.snapshot().gauges
        assert (gauges["in_flight"], gauges["limit"], gauges["queued"], gauges["oldest"]) == (1, 2, 0, 3.0)
        bulkhead.reset()
        assert bulkhead.snapshot().gauges["in_flight"] == 1
    assert bulkhead.snapshot().gauges["oldest"] == 0.0


def test_a_retry_counts_its_attempts_delays_and_reasons(clock, registry):
    """R-RT6"""
    retry = Retry(3, budget=None)
    pipeline = Pipeline("db", retry, registry=registry)
    pipeline.call_outcome(fail)
    pipeline.call_outcome(lambda: int("x"))
    snapshot = retry.snapshot()
    assert snapshot.counters["attempts.1"] == 2
    assert snapshot.counters["attempts.3"] == 2
    assert snapshot.counters["failures.attempts"] == 2
    assert sum(snapshot.histograms["delay"].counts) == 4


def test_a_fallback_counts_by_its_source_from_zero(clock, registry):
    """R-FB1"""
    fallback = Fallback("other")
    pipeline = Pipeline("db", fallback, registry=registry)
    assert fallback.snapshot().counters == {"used.value": 0, "failed": 0}
    assert pipeline.call(fail) == "other"
    assert fallback.snapshot().counters == {"used.value": 1, "failed": 0}
    assert Fallback(lambda: 1).snapshot().counters == {"used.function": 0, "failed": 0}


def test_policies_and_pipelines_show_their_kind_and_name():
    policy = CircuitBreaker(name="orders-db")
    assert repr(policy) == "<CircuitBreaker 'orders-db'>"
    assert repr(Pipeline("orders", Retry(), policy, registry=None)) == "<Pipeline 'orders' Retry > CircuitBreaker>"


@pytest.mark.parametrize(
    "rule, failures, evidence",
    [
        (ConsecutiveFailures(2), 2, {"rule": "consecutive_failures", "failures": 2}),
        (FailureCount(2, window=5.0), 2, {"rule": "failure_count", "failures": 2, "window": 5.0}),
        (
            FailureRate(0.5, window=5.0, min_calls=2),
            2,
            {"rule": "failure_rate", "calls": 2, "failures": 2, "slow": 0, "window": 5.0},
        ),
        (
            FailureRate(0.5, calls=2, min_calls=2),
            2,
            {"rule": "failure_rate", "calls": 2, "failures": 2, "slow": 0, "window": None},
        ),
        (
            SlowRate(0.5, slower_than=1.0, calls=2, min_calls=2),
            2,
            {"rule": "slow_rate", "calls": 2, "failures": 2, "slow": 2, "window": None},
        ),
    ],
)
def test_a_trip_says_which_rule_was_met_and_by_what(rule, failures, evidence):
    """R-CB6"""
    tracker = rule.tracker()
    found = [tracker.add(True, 2.0, 10.0) for _ in range(failures)]
    assert found == [None] * (failures - 1) + [evidence]


def test_a_rule_in_words_names_a_window_that_tumbles():
    assert str(FailureRate(0.5)) == "FailureRate(rate=0.5, window=30.0, calls=None, min_calls=10)"
    assert str(FailureRate(0.5, tumbling=True)).endswith("min_calls=10, tumbling=True)")
    assert str(SlowRate(tumbling=True)).endswith("min_calls=10, tumbling=True)")
