"""Every mistake in a setting is refused at construction, with place, value and remedy."""

# mypy: disable-error-code="arg-type,list-item"
# What a type checker would refuse is refused at run time too.

import math
import re

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    ConsecutiveFailures,
    Deadline,
    FailureCount,
    FailureRate,
    Fallback,
    RateLimiter,
    Retry,
    RetryBudget,
    SlowRate,
    Timeout,
)
from seawall.backoff import Backoff, Custom, Exponential, Fibonacci, Linear
from seawall.policies.rate_limiter import parse_rate

CASES = [
    # what is built, the place, the value, a word of the remedy
    (lambda: Timeout(0), "Timeout.limit", "0", "above 0"),
    (lambda: Timeout(math.nan), "Timeout.limit", "nan", "seconds"),
    (lambda: Timeout(1, mode="signal"), "Timeout.mode", "'signal'", '"cooperative" or "thread"'),
    (lambda: Timeout(1, max_threads=0), "Timeout.max_threads", "0", "at least 1"),
    (lambda: Timeout(1, name=" "), "Timeout.name", "' '", "not empty"),
    (lambda: Deadline(-1), "Deadline.limit", "-1", "above 0"),
    (lambda: Retry(0), "Retry.attempts", "0", "at least 1"),
    (lambda: Retry(True), "Retry.attempts", "True", "whole number"),
    (lambda: Retry(backoff=1.0), "Retry.backoff", "1.0", "seawall.backoff"),
    (lambda: Retry(max_time=0), "Retry.max_time", "0", "above 0"),
    (lambda: Retry(retry_after_cap=-1), "Retry.retry_after_cap", "-1", "at least 0"),
    (lambda: Retry(retryable=["netwrok"]), "Retry.retryable", "'netwrok'", "known are"),
    (lambda: Fibonacci(start=(1, -1)), "Fibonacci.start", "(1, -1)", "whole numbers"),
    (lambda: Fibonacci(start=(0, 0)), "Fibonacci.start", "(0, 0)", "use (1, 1)"),
    (lambda: FailureRate(calls=20, tumbling=True), "FailureRate.tumbling", "True", "only a time window"),
    (lambda: CircuitBreaker(half_open_early=False), "CircuitBreaker.half_open_early", "False", 'half_open="rate"'),
    (lambda: Retry(idempotent="yes"), "Retry.idempotent", "'yes'", "True, False"),
    (lambda: Retry(budget=0.2), "Retry.budget", "0.2", "RetryBudget"),
    (lambda: Retry(after_first="resume"), "Retry.resume", "None", "function of the items"),
    (lambda: Retry(after_first="again"), "Retry.after_first", "'again'", "restart"),
    (lambda: RetryBudget(-0.1), "RetryBudget.ratio", "-0.1", "at least 0"),
    (lambda: RetryBudget(window=0), "RetryBudget.window", "0", "above 0"),
    (lambda: Retry(retryable=(ValueError, 3)), "Retry.retryable", "3", "exception type"),
    (lambda: Retry(retryable=int), "Retry.retryable", "int", "exception type"),
    (lambda: Retry(retry_result=3), "Retry.retry_result", "3", "function"),
    (lambda: CircuitBreaker(0), "CircuitBreaker.failure_threshold", "0", "at least 1"),
    (lambda: CircuitBreaker(trip=[]), "CircuitBreaker.trip", "[]", "add one"),
    (lambda: CircuitBreaker(trip=[5]), "CircuitBreaker.trip", "5", "ConsecutiveFailures"),
    (lambda: CircuitBreaker(trip=FailureRate()), "CircuitBreaker.trip", "FailureRate", "list"),
    (lambda: CircuitBreaker(recovery_timeout=-1), "CircuitBreaker.recovery_timeout", "-1", "at least 0"),
    (lambda: CircuitBreaker(half_open_max_calls=0), "CircuitBreaker.half_open_max_calls", "0", "at least 1"),
    (lambda: CircuitBreaker(success_threshold=0), "CircuitBreaker.success_threshold", "0", "at least 1"),
    (lambda: CircuitBreaker(lease=0), "CircuitBreaker.lease", "0", "above 0"),
    (lambda: CircuitBreaker(record=[OSError]), "CircuitBreaker.record", "OSError", "tuple"),
    (lambda: CircuitBreaker(ignore="KeyError"), "CircuitBreaker.ignore", "'KeyError'", "exception type"),
    (lambda: CircuitBreaker(classify="rule"), "CircuitBreaker.classify", "'rule'", "function"),
    (lambda: CircuitBreaker(growth=0.5), "CircuitBreaker.growth", "0.5", "at least 1"),
    (lambda: CircuitBreaker(growth=math.inf), "CircuitBreaker.growth", "inf", "finite"),
    (lambda: CircuitBreaker(growth=2, max_recovery_timeout=0), "CircuitBreaker.max_recovery_timeout", "0", "above 0"),
    (lambda: CircuitBreaker(growth=2, max_recovery_timeout=9), "CircuitBreaker.max_recovery_timeout", "9", ">= 30"),
    (lambda: CircuitBreaker(max_recovery_timeout=90), "CircuitBreaker.max_recovery_timeout", "90", "growth above 1"),
    (lambda: CircuitBreaker(recovery_jitter=1.5), "CircuitBreaker.recovery_jitter", "1.5", "at most 1"),
    (lambda: CircuitBreaker(recovery_jitter=-0.1), "CircuitBreaker.recovery_jitter", "-0.1", "at least 0"),
    (lambda: CircuitBreaker(max_open=0), "CircuitBreaker.max_open", "0", "above 0"),
    (lambda: CircuitBreaker(max_open=29), "CircuitBreaker.max_open", "29", "max_open >= 30"),
    (lambda: CircuitBreaker(half_open="some"), "CircuitBreaker.half_open", "'some'", '"consecutive" or "rate"'),
    (lambda: CircuitBreaker(half_open_trials=5), "CircuitBreaker.half_open_trials", "5", 'half_open="rate"'),
    (
        lambda: CircuitBreaker(half_open_failure_rate=0.5),
        "CircuitBreaker.half_open_failure_rate",
        "0.5",
        "leave it out",
    ),
    (
        lambda: CircuitBreaker(half_open="rate", half_open_trials=0),
        "CircuitBreaker.half_open_trials",
        "0",
        "at least 1",
    ),
    (
        lambda: CircuitBreaker(half_open="rate", half_open_failure_rate=0),
        "CircuitBreaker.half_open_failure_rate",
        "0",
        "at most 1",
    ),
    (lambda: CircuitBreaker(max_half_open=0), "CircuitBreaker.max_half_open", "0", "above 0"),
    (lambda: CircuitBreaker(ramp=-1), "CircuitBreaker.ramp", "-1", "at least 0"),
    (lambda: CircuitBreaker(probe="ping"), "CircuitBreaker.probe", "'ping'", "function"),
    (lambda: CircuitBreaker(probe_timeout=5), "CircuitBreaker.probe_timeout", "5", "give probe"),
    (lambda: CircuitBreaker(probe=bool, probe_timeout=0), "CircuitBreaker.probe_timeout", "0", "above 0"),
    (lambda: CircuitBreaker(probe=bool, key="host"), "CircuitBreaker.probe", "'host'", "a breaker for each"),
    (lambda: CircuitBreaker(probe=bool, recovery_timeout=0), "CircuitBreaker.probe", "0", "above 0"),
    (lambda: CircuitBreaker(key=5), "CircuitBreaker.key", "5", 'key="host"'),
    (lambda: CircuitBreaker(key="the host"), "CircuitBreaker.key", "'the host'", "name of an argument"),
    (lambda: CircuitBreaker(key="host", max_keys=0), "CircuitBreaker.max_keys", "0", "at least 1"),
    (lambda: CircuitBreaker(key="host", key_ttl=0), "CircuitBreaker.key_ttl", "0", "above 0"),
    (lambda: CircuitBreaker(chance=0.5), "CircuitBreaker.chance", "0.5", "function"),
    (lambda: RateLimiter("60"), "RateLimiter.rate", "'60'", "60/minute"),
    (lambda: RateLimiter("5/0s"), "RateLimiter.rate", "'5/0s'", "5 per 10 seconds"),
    (lambda: RateLimiter("5 every minute"), "RateLimiter.rate", "'5 every minute'", "5 per 10 seconds"),
    (lambda: RateLimiter([]), "RateLimiter.rate", "[]", "give one"),
    (lambda: RateLimiter(["1/second", "x"]), "RateLimiter.rate", "'x'", "60/minute"),
    (lambda: RateLimiter(["1/s", "2/min"], burst=5), "RateLimiter.burst", "5", "Limit(rate, burst="),
    (lambda: RateLimiter("1/second", algorithm="leaky"), "RateLimiter.algorithm", "'leaky'", "sliding_log"),
    (lambda: RateLimiter("9/s", algorithm="fixed_window", burst=3), "RateLimiter.burst", "3", "leave it out"),
    (lambda: RateLimiter("0.5/s", algorithm="sliding_log"), "RateLimiter.rate", "'0.5/s'", "1/2s"),
    (lambda: RateLimiter("1/second", cost=0), "RateLimiter.cost", "0", "above 0"),
    (lambda: RateLimiter("1/second", key=3), "RateLimiter.key", "3", "name of an argument"),
    (lambda: RateLimiter("1/second", key=" "), "RateLimiter.key", "' '", "not empty"),
    (lambda: RateLimiter("1/second", key="a", max_keys=0), "RateLimiter.max_keys", "0", "at least 1"),
    (lambda: RateLimiter("1/day", key="a", key_ttl=60), "RateLimiter.key_ttl", "60", "at least 86400"),
    (lambda: RateLimiter("1/second", shadow="yes"), "RateLimiter.shadow", "'yes'", "True or False"),
    (lambda: RateLimiter("60/fortnight"), "RateLimiter.rate", "'60/fortnight'", "60/minute"),
    (lambda: RateLimiter("0/minute"), "RateLimiter.rate", "'0/minute'", "above 0"),
    (lambda: RateLimiter("inf/minute"), "RateLimiter.rate", "'inf/minute'", "above 0"),
    (lambda: RateLimiter("nan/minute"), "RateLimiter.rate", "'nan/minute'", "above 0"),
    (lambda: RateLimiter(60), "RateLimiter.rate", "60", "60/minute"),
    (lambda: RateLimiter("many/minute"), "RateLimiter.rate", "'many/minute'", "60/minute"),
    (lambda: RateLimiter("1/second", burst=0.5), "RateLimiter.burst", "0.5", "at least 1"),
    (lambda: RateLimiter("1/second", max_wait=-1), "RateLimiter.max_wait", "-1", "at least 0"),
    (lambda: Bulkhead(0), "Bulkhead.max_concurrent", "0", "at least 1"),
    (lambda: Bulkhead(1, queue=-1), "Bulkhead.queue", "-1", "at least 0"),
    (lambda: Bulkhead(1, queue=1, max_wait=-1), "Bulkhead.max_wait", "-1", "at least 0"),
    (lambda: Fallback(0, on=[ValueError]), "Fallback.on", "ValueError", "tuple"),
    (lambda: Fallback(0, on=lambda e: True), "Fallback.on", "lambda", "exception type"),
    (lambda: ConsecutiveFailures(0), "ConsecutiveFailures.threshold", "0", "at least 1"),
    (lambda: FailureCount(0), "FailureCount.threshold", "0", "at least 1"),
    (lambda: FailureCount(5, window=0), "FailureCount.window", "0", "above 0"),
    (lambda: FailureRate(0), "FailureRate.rate", "0", "at most 1"),
    (lambda: FailureRate(1.5), "FailureRate.rate", "1.5", "at most 1"),
    (lambda: FailureRate(min_calls=0), "FailureRate.min_calls", "0", "at least 1"),
    (lambda: FailureRate(window=math.inf), "FailureRate.window", "inf", "seconds"),
    (lambda: FailureRate(calls=0), "FailureRate.calls", "0", "at least 1"),
    (lambda: FailureRate(calls=5, min_calls=6), "FailureRate.min_calls", "6", "min_calls <= 5"),
    (lambda: SlowRate(slower_than=0), "SlowRate.slower_than", "0", "above 0"),
    (lambda: Exponential(base=-1), "Exponential.base", "-1", "at least 0"),
    (lambda: Exponential(base="1"), "Exponential.base", "'1'", "seconds"),
    (lambda: Linear(cap=math.nan), "Linear.cap", "nan", "at least"),
    (lambda: Exponential(multiplier=0.5), "Exponential.multiplier", "0.5", "at least 1"),
    (lambda: Exponential(multiplier=math.inf), "Exponential.multiplier", "inf", "finite"),
    (lambda: Linear(jitter="some"), "Linear.jitter", "'some'", '"decorrelated"'),
    (lambda: Linear(jitter=1.5), "Linear.jitter", "1.5", "between 0 and 1"),
    (lambda: Linear(jitter=True), "Linear.jitter", "True", "between 0 and 1"),
    (lambda: Linear(jitter=(2.0, 1.0)), "Linear.jitter", "(2.0, 1.0)", "low <= high"),
    (lambda: Linear(jitter=(0.5, math.inf)), "Linear.jitter", "inf", "low <= high"),
    (lambda: Linear(jitter=(1.0, 2.0, 3.0)), "Linear.jitter", "(1.0, 2.0, 3.0)", "pair"),
    (lambda: Linear(jitter=["full"]), "Linear.jitter", "['full']", "pair"),
    (lambda: Custom(rule=3), "Custom.rule", "3", "function"),
]


@pytest.mark.parametrize("build, place, value, remedy", CASES, ids=[f"{n}-{case[1]}" for n, case in enumerate(CASES)])
def test_a_mistake_is_refused_with_place_value_and_remedy(build, place, value, remedy):
    """R-CF1"""
    with pytest.raises(ConfigurationError) as caught:
        build()
    message = str(caught.value)
    assert re.match(rf"{re.escape(place)}\b", message), message
    assert value in message
    assert remedy in message


def test_two_ways_to_say_when_to_trip_are_refused():
    """R-CB2"""
    with pytest.raises(ConfigurationError, match="failure_threshold and trip are two ways to say one thing"):
        CircuitBreaker(3, trip=[FailureRate()])


def test_the_shared_base_of_all_backoffs_knows_no_rule():
    """R-RT1"""
    with pytest.raises(NotImplementedError):
        Backoff().raw(0)


@pytest.mark.parametrize("how", ["open", "closed", "disabled", "observe"])
def test_a_pin_needs_an_owner_and_a_reason(how):
    """R-CB1"""
    breaker = CircuitBreaker()
    for owner, reason in (("", "why"), ("mia", "")):
        with pytest.raises(ConfigurationError, match=rf"force\('{how}'\): owner and reason must be given"):
            breaker.force(how, owner=owner, reason=reason)
    with pytest.raises(ConfigurationError, match=r"force.expires_in = 0: .*above 0"):
        breaker.force(how, owner="mia", reason="why", expires_in=0)


@pytest.mark.parametrize(
    "text, calls, period",
    [
        ("60/minute", 60.0, 60.0),
        ("1000/second", 1000.0, 1.0),
        ("5/10s", 5.0, 10.0),
        ("5 per 10 seconds", 5.0, 10.0),
        ("1.5 / 2 min", 1.5, 120.0),
        ("3 per hour", 3.0, 3600.0),
        ("7/days", 7.0, 86400.0),
    ],
)
def test_a_rate_is_a_number_of_calls_in_any_time(text, calls, period):
    """R-RL1"""
    assert parse_rate(text) == (calls, period)


def test_a_pin_to_an_unknown_state_names_the_known_ones():
    """R-CB1"""
    with pytest.raises(
        ConfigurationError, match=r"force\('half-open'\): must be \"open\", \"closed\", \"disabled\" or \"observe\""
    ):
        CircuitBreaker().force("half-open", owner="mia", reason="why")


@pytest.mark.parametrize("cost", [0, -1, 10.5])
def test_a_cost_that_can_never_be_paid_is_an_error_at_once(cost):
    """R-RL1"""
    from seawall.core.permit import Ask

    limiter = RateLimiter("1/second", burst=10, max_wait=5.0, name="tokens")
    for ask in (limiter.acquire, lambda ask: limiter.enter(ask, None)):
        with pytest.raises(ConfigurationError, match=rf'RateLimiter "tokens": cost = {cost}.*at most the burst of 10'):
            ask(Ask(cost=cost))
