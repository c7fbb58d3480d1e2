"""Rate limits as a program uses them: algorithms, several at once, keys, costs, shadow, changes at run time."""

import asyncio

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    ConfigurationError,
    Deadline,
    Limit,
    Pipeline,
    RateLimitedError,
    RateLimiter,
    Registry,
)
from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
from seawall.core.verdict import Verdict
from seawall.testing import Recorder, run_async, run_both, run_threads, virtual_time

ALGORITHMS = ["token_bucket", "gcra", "sliding_log", "sliding_counter", "fixed_window"]


class Here(Waiter):
    """Somebody who waits and is always there."""

    def __init__(self):
        self.woken = 0

    def wake(self):
        self.woken += 1
        return True


def woken(place):
    """How often one who waits was woken."""
    return place.waiter.woken


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


def limited(algorithm, **options):
    """Two calls in two seconds."""
    if algorithm in {"token_bucket", "gcra"}:
        return RateLimiter("1/second", burst=2, algorithm=algorithm, **options)
    return RateLimiter("2/2s", algorithm=algorithm, **options)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_callers_who_wait_go_in_order_and_exactly_when_they_may(algorithm):
    """R-RL1"""
    expected = {
        "token_bucket": [0.0, 0.0, 1.0, 2.0, 3.0],
        "gcra": [0.0, 0.0, 1.0, 2.0, 3.0],
        "sliding_log": [0.0, 0.0, 2.0, 2.0, 4.0],
        "sliding_counter": [0.0, 0.0, 3.0, 4.0, 6.0],
        "fixed_window": [0.0, 0.0, 2.0, 2.0, 4.0],
    }[algorithm]

    def scenario(driven):
        moments = []
        for _ in range(5):
            driven.call(lambda: moments.append(round(driven.pipeline.clock.now(), 6)))
        return moments

    assert run_both(lambda: [limited(algorithm, max_wait=60.0)], scenario) == expected


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_threads_and_tasks_stand_in_one_line(algorithm, clock):
    """R-RL1"""
    limiter = limited(algorithm, max_wait=60.0)
    pipeline = Pipeline("p", limiter, registry=None)
    order: list[str] = []

    async def task(name, start):
        await asyncio.sleep(start)

        async def body():
            order.append(name)

        await pipeline.acall(body)

    async def loop():
        await asyncio.gather(*(task(f"a{number}", start) for number, start in enumerate([0.0, 0.25, 0.45])))

    def thread():
        for number in range(3):
            clock.sleep(0.1)
            pipeline.call(order.append, f"t{number}")

    run_threads(lambda: run_async(loop()), thread)
    came = ["a0", "t0", "t1", "a1", "a2", "t2"]
    if algorithm in {"sliding_log", "fixed_window"}:  # two go at one moment, and which runs first is chance
        assert [set(order[at : at + 2]) for at in (0, 2, 4)] == [set(came[at : at + 2]) for at in (0, 2, 4)]
    else:
        assert order == came
    assert limiter.snapshot().gauges["waiting"] == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cancel_at_any_turn_of_the_loop_leaves_nobody_in_the_limiters_line(algorithm):
    """R-RL1, R-RT5"""
    for turn in range(14):
        with virtual_time() as clock:
            limiter = limited(algorithm, max_wait=60.0)
            pipeline = Pipeline("p", limiter, registry=None)
            went: list[float] = []

            async def scenario(turn=turn, pipeline=pipeline, went=went, clock=clock):
                async def one():
                    await pipeline.acall(lambda: went.append(clock.now()))

                tasks = [asyncio.create_task(one()) for _ in range(5)]
                for _ in range(turn):
                    await asyncio.sleep(0)
                tasks[2].cancel()
                return await asyncio.gather(*tasks, return_exceptions=True)

            ends = run_async(scenario())
            cancelled = sum(isinstance(end, asyncio.CancelledError) for end in ends)
            assert len(went) == 5 - cancelled
            assert limiter.snapshot().gauges["waiting"] == 0
            assert limiter.snapshot().counters["requests.allowed"] == len(went)


def test_several_limits_hold_at_once_and_wait_for_the_longest(clock):
    """R-RL1"""
    limiter = RateLimiter(
        [Limit("2/second", algorithm="fixed_window"), "3/minute"], algorithm="sliding_log", max_wait=90.0
    )
    pipeline = Pipeline("p", limiter, registry=None)
    moments: list[float] = []
    for _ in range(4):
        pipeline.call(lambda: moments.append(clock.now()))
    assert moments == [0.0, 0.0, 1.0, 60.0]
    assert limiter.try_acquire()
    refused = limiter.acquire()
    assert isinstance(refused, Rejection)
    assert refused.retry_after == 1.0  # the call of 1.0 leaves the minute


def test_a_refusal_further_in_gives_back_to_all_of_several_limits(clock):
    """R-RL1"""
    limiter, bulkhead = RateLimiter(["5/second", "7/minute"], algorithm="sliding_log"), Bulkhead(1)
    pipeline = Pipeline("p", limiter, bulkhead, registry=Registry())
    with Pipeline("held", bulkhead, registry=None).permit(), pytest.raises(BulkheadFullError):
        pipeline.call(int)
    assert [part._level(0.0) for part in limiter._machine.parts] == [5.0, 7.0]


def test_each_key_has_a_limit_of_its_own_and_events_do_not_show_it(clock):
    """R-RL1"""
    limiter = RateLimiter("1/minute", key="tenant", name="api")
    pipeline = Pipeline("p", limiter, registry=None)

    def serve(tenant):
        return tenant

    with Recorder() as recorder:
        assert [pipeline.call(serve, one) for one in ("ann", "bob")] == ["ann", "bob"]
        with pytest.raises(RateLimitedError, match=r'"api\[k-[0-9a-f]{8}\]" rejected') as caught:
            pipeline.call(serve, "ann")
    assert "ann" not in str(caught.value)
    assert "ann" not in str(recorder.events)
    snapshot = limiter.snapshot()
    assert snapshot.counters == {"requests.allowed": 2, "requests.rejected": 1, "keys.evicted": 0}
    assert snapshot.gauges["keys"] == 2
    assert sorted(snapshot.details["busiest"].values()) == [1, 2]


def test_keys_are_bounded_spent_ones_go_last_and_reading_makes_none(clock):
    """R-RL1"""
    limiter = RateLimiter("2/minute", burst=2, key=lambda tenant: tenant, max_keys=3, public_keys=True, name="x")
    assert limiter.available("nobody") == 2.0
    assert limiter.retry_after(key="nobody") == 0.0
    assert limiter.snapshot().gauges["keys"] == 0
    assert [limiter.try_acquire(key="spent") for _ in range(3)] == [True, True, False]
    for number in range(50):
        assert limiter.try_acquire(key=f"k{number}")
    snapshot = limiter.snapshot()
    assert snapshot.gauges["keys"] == 3
    assert snapshot.counters["requests.allowed"] == 52
    assert limiter.try_acquire(key="spent") is False
    assert "x[spent]" in snapshot.details["busiest"]


def test_one_who_waits_for_a_key_that_was_let_go_is_not_stranded(clock):
    """R-RL1, R-BH1"""
    limiter = RateLimiter("1/second", key=lambda tenant: tenant, max_keys=1, max_wait=60.0)
    bulkhead = Bulkhead(1, queue=5, max_wait=None, key=lambda tenant: tenant, max_keys=1)
    assert isinstance(limiter.enter(Ask(key="a"), Here), Permit)
    place = limiter.enter(Ask(key="a"), Here)
    held = bulkhead.enter(Ask(key="a"), Here)
    behind = bulkhead.enter(Ask(key="a"), Here)
    others = []
    for key in "bcd":
        limiter.enter(Ask(key=key), Here)
        others.append(bulkhead.enter(Ask(key=key), Here))
    assert all(isinstance(other, Permit) for other in others)
    clock.advance(1.0)
    assert isinstance(place, Parked)
    assert isinstance(limiter.claim(place), Permit)
    assert isinstance(held, Permit)
    assert isinstance(behind, Parked)
    bulkhead.leave(held, Verdict.SUCCESS)
    permit = bulkhead.claim(behind)
    assert isinstance(permit, Permit)
    bulkhead.leave(permit, Verdict.SUCCESS)
    gauges = bulkhead.snapshot().gauges
    assert (gauges["in_flight"], gauges["queued"]) == (3, 0)


def test_a_cost_is_taken_from_the_arguments_of_the_call(clock):
    """R-RL1"""
    limiter = RateLimiter("10/second", cost=lambda tokens: tokens)
    pipeline = Pipeline("p", limiter, registry=None)
    pipeline.call(lambda tokens: tokens, 7)
    assert limiter.available() == 3.0
    with pytest.raises(RateLimitedError):
        pipeline.call(lambda tokens: tokens, 4)
    with pytest.raises(ConfigurationError, match=r"cost = 11: must be above 0 and at most the burst of 10"):
        pipeline.call(lambda tokens: tokens, 11)


def test_code_without_a_pipeline_asks_and_is_told_when(clock):
    """R-RL1"""
    limiter = RateLimiter("1/second", burst=2)
    assert limiter.try_acquire(cost=2) is True
    assert limiter.try_acquire() is False
    assert (limiter.retry_after(), limiter.retry_after(cost=2)) == (1.0, 2.0)
    clock.advance(limiter.retry_after())
    assert limiter.retry_after() == 0.0
    assert limiter.try_acquire() is True


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_shadow_mode_everybody_passes_and_what_would_have_been_refused_is_counted(algorithm):
    """R-RL1"""

    def scenario(driven):
        (limiter,) = driven.pipeline.policies
        for _ in range(5):
            driven.call(int)
        return limiter.snapshot().counters, driven.pipeline.clock.now()

    counters = {"requests.allowed": 2, "requests.shadow_rejected": 3}
    assert run_both(lambda: [limited(algorithm, shadow=True)], scenario) == (counters, 0.0)
    counters = {"requests.allowed": 5, "requests.shadow_rejected": 0}
    assert run_both(lambda: [limited(algorithm, shadow=True, max_wait=60.0)], scenario) == (counters, 0.0)


def test_a_faster_rate_wakes_those_who_wait_and_a_slower_one_refuses_who_cannot_wait_so_long(clock):
    """R-RL1"""
    limiter = RateLimiter("1/minute", max_wait=200.0)
    assert limiter.try_acquire()
    first, second = (limiter.enter(Ask(), Here) for _ in range(2))
    assert isinstance(first, Parked)
    assert isinstance(second, Parked)
    clock.advance(30.0)
    limiter.update("1/second")  # half a token was accrued before
    assert (first.wake_at, second.wake_at) == (30.5, 31.5)
    assert (woken(first), woken(second)) == (1, 1)
    limiter.update("1/hour")
    refused = limiter.claim(second)
    assert isinstance(refused, Rejection)
    assert refused.retry_after == pytest.approx(5400.0)


def test_a_smaller_burst_refuses_who_waits_for_more_than_it_holds(clock):
    """R-RL1"""
    limiter = RateLimiter("1/second", burst=5, max_wait=60.0)
    assert limiter.try_acquire(cost=5)
    place = limiter.enter(Ask(cost=4), Here)
    assert isinstance(place, Parked)
    limiter.update(burst=2)
    refused = limiter.claim(place)
    assert isinstance(refused, Rejection)
    assert refused.reason == "unreachable"
    assert limiter.snapshot().gauges["waiting"] == 0
    with pytest.raises(ConfigurationError, match="same algorithms"):
        limiter.update(["1/second", "2/minute"])


def test_who_waits_longer_than_the_dependency_allows_now_is_refused_at_once():
    """R-RL1"""
    with virtual_time() as clock:
        limiter = RateLimiter("1/second", max_wait=5.0)
        first, place = limiter.enter(Ask(), Here), limiter.enter(Ask(), Here)
        assert isinstance(first, Permit)
        assert isinstance(place, Parked)
        limiter.leave(first, Verdict.THROTTLED, retry_after=30.0)
        assert woken(place) == 1
        assert isinstance(limiter.claim(place), Rejection)
        assert clock.now() == 0.0


def test_a_deadline_bounds_the_wait_of_every_algorithm():
    """R-RL1, R-TM1"""

    def scenario(driven):
        driven.call(int)
        driven.call(int)
        with pytest.raises(RateLimitedError) as caught:
            driven.call(int)
        return caught.value.evidence["reason"], driven.pipeline.clock.now()

    for algorithm in ALGORITHMS:
        policies = lambda algorithm=algorithm: [Deadline(0.5), limited(algorithm, max_wait=90.0)]  # noqa: E731
        assert run_both(policies, scenario) == ("deadline", 0.0)
