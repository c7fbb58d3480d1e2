"""Policies with very many keys: how many are kept, which go, what a key may be, and one policy over many stripes."""

import gc
import weakref

import pytest

from seawall import Bulkhead, CircuitBreaker, ConfigurationError, Pipeline, RateLimiter
from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
from seawall.core.verdict import Verdict
from seawall.policies.keyed import STRIPES, KeyTable, stripe_of, stripes_for
from seawall.testing import Recorder, virtual_time


class Here(Waiter):
    """Somebody who waits and is always there."""

    def wake(self):
        return True


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


def itself(key):
    return key


def limiter(**options):
    return RateLimiter("1/minute", burst=options.pop("burst", 1), key=itself, **options)


def test_twenty_thousand_keys_are_bounded_by_what_was_set(clock):
    """R-RL1"""
    limit = limiter(max_keys=2000)
    for number in range(20_000):
        clock.advance(0.01)
        assert limit.try_acquire(key=number)
        if number % 1000 == 0:
            assert limit.snapshot().gauges["keys"] <= 2000
    snapshot = limit.snapshot()
    assert 1900 < snapshot.gauges["keys"] <= 2000
    assert snapshot.counters["requests.allowed"] == 20_000
    assert snapshot.counters["keys.evicted"] == 20_000 - snapshot.gauges["keys"]


def test_shares_of_the_stripes_are_the_whole_and_few_keys_are_not_divided():
    """R-RL1"""
    for most in (1, 3, 1023, 1024, 1025, 10_000, 1_000_001):
        assert sum(stripes_for(most)) == most
    assert len(stripes_for(1023)) == 1
    assert set(stripes_for(1030)) == {64, 65}


@pytest.mark.parametrize("step", [1, 16, 4096, 2**32])
def test_numbers_that_are_alike_are_spread_over_all_stripes(step):
    """R-RL1"""
    found = [stripe_of(number * step, STRIPES) for number in range(16_000)]
    assert all(800 < found.count(stripe) < 1200 for stripe in range(STRIPES))


def test_equal_keys_share_a_limit_whatever_their_type(clock):
    """R-RL1"""
    limit = limiter(max_keys=10_000)
    assert limit.try_acquire(key=1)
    assert not limit.try_acquire(key=1.0)
    assert not limit.try_acquire(key=True)


def test_spent_limits_outlive_thousands_of_fresh_ones(clock):
    """R-RL1"""
    limit = limiter(burst=2, max_keys=1024)
    spent = [f"spent {number}" for number in range(100)]
    for key in spent:
        assert [limit.try_acquire(key=key) for _ in range(3)] == [True, True, False]
    for number in range(5000):
        limit.try_acquire(key=number)
    assert limit.snapshot().gauges["keys"] == 1024
    assert not any(limit.try_acquire(key=key) for key in spent)


def test_slots_in_use_outlive_thousands_of_idle_ones(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, key=itself, max_keys=1024)
    held = [bulkhead.enter(Ask(key=f"busy {number}"), Here) for number in range(50)]
    for number in range(3000):
        permit = bulkhead.enter(Ask(key=number), Here)
        assert isinstance(permit, Permit)
        bulkhead.leave(permit, Verdict.SUCCESS)
    assert all(isinstance(bulkhead.enter(Ask(key=f"busy {number}"), Here), Rejection) for number in range(50))
    gauges = bulkhead.snapshot().gauges
    assert (gauges["in_flight"], gauges["keys"], gauges["saturation"]) == (50, 1024, 1.0)
    for permit in held:
        assert isinstance(permit, Permit)
        bulkhead.leave(permit, Verdict.SUCCESS)
    assert bulkhead.snapshot().gauges["in_flight"] == 0


@pytest.mark.parametrize("make", [limiter, lambda: Bulkhead(1, key=itself), lambda: CircuitBreaker(key=itself)])
@pytest.mark.parametrize("key", [["a"], {"a": 1}, ("a", ["b"])])
def test_a_key_without_a_hash_is_refused_in_words(make, key, clock):
    """R-RL1"""
    pipeline = Pipeline("p", make(), registry=None)
    with pytest.raises(
        ConfigurationError, match=rf"type {type(key).__name__} cannot be told .*unhashable type.* a text"
    ):
        pipeline.call(lambda key: key, key)
    assert pipeline.call(lambda key: key, "a") == "a"


def test_refusals_of_many_keys_have_numbers_of_their_own_and_are_named_when_asked(clock):
    """R-RL1, R-EV1"""
    limit = limiter(max_keys=2000, public_keys=True, name="api")
    pipeline = Pipeline("p", limit, registry=None)
    with Recorder() as recorder:
        for number in range(64):
            pipeline.call(itself, number)
            assert not pipeline.call_outcome(itself, number).ok
    refused = [event for event in recorder.events if type(event).__name__ == "CallRejected"]
    assert [event.number for event in refused] == list(range(1, 65))
    assert [event.name for event in refused] == [f"api[{number}]" for number in range(64)]
    assert limit.snapshot().counters["requests.rejected"] == 64


def test_other_limits_and_a_reset_reach_the_keys_of_all_stripes(clock):
    """R-RL1"""
    limit = limiter(max_keys=2000, max_wait=600.0)
    keys = range(100)
    places = []
    for key in keys:
        assert limit.try_acquire(key=key)
        places.append(limit.enter(Ask(key=key), Here))
    assert all(isinstance(place, Parked) and place.wake_at == 60.0 for place in places)
    assert limit.snapshot().gauges["waiting"] == 100
    limit.update("1/second")
    assert {place.wake_at for place in places} == {1.0}
    limit.reset()
    assert all(isinstance(limit.claim(place), Permit) for place in places)
    assert limit.snapshot().gauges["waiting"] == 0
    waited = limit.snapshot().histograms["wait"]
    assert sum(waited.counts) == 100


def test_a_clock_of_its_own_inside_a_block_leaves_the_keys_of_before_alone(clock):
    """R-QA1"""
    limit = limiter(max_keys=2000)
    for key in range(50):
        assert limit.try_acquire(key=key)
    with limit.rebound(clock):
        assert all(limit.try_acquire(key=key) for key in range(50))
    assert not any(limit.try_acquire(key=key) for key in range(50))


def test_a_key_that_is_let_go_takes_none_of_its_neighbours_with_it_and_leaves_nothing_behind():
    """R-RL1"""

    class Machine:
        pass

    table = KeyTable(lambda key: Machine(), most=2, ttl=60.0, needed=lambda machine, now: False)
    kept = table.get("a", 0.0)
    gone = weakref.ref(table.get("b", 0.0))
    table.get("c", 0.0)
    gc.disable()
    try:
        table.get("d", 0.0)
        assert [key for key, _ in table.items()] == ["c", "d"]
        assert gone() is None  # no ring of those that are gone waits for the collector
    finally:
        gc.enable()
    assert isinstance(kept, Machine)


def test_reading_a_policy_in_the_middle_of_a_decision_on_a_key_waits_for_nobody(clock):
    """R-QA1"""
    limit = limiter(max_keys=2000)
    limit.try_acquire(key="a")
    number = limit._number("a")
    other = next(key for key in range(100) if limit._number(key) != number)
    with limit._lock_at(number):  # as a signal handler or a finaliser finds it
        assert limit._inside()
        answer = limit.acquire(Ask(key=other))
        assert isinstance(answer, Rejection)
        assert answer.reason == "reentered"
        assert limit.available(key=other) == 1.0
        assert limit.snapshot().gauges["keys"] == 1
        limit.reset()  # put off
        assert limit.available(key="a") == 0.0
    assert not limit._inside()
    assert limit.try_acquire(key=other)
    assert limit.available(key="a") == 1.0
