"""Standing in line: how long, for what, and what happens to the place."""

import asyncio

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    Deadline,
    Pipeline,
    RateLimitedError,
    RateLimiter,
    Registry,
    RejectedError,
    Retry,
)
from seawall.core.permit import ASK, Ask, Parked, Permit, Waiter
from seawall.core.verdict import Verdict
from seawall.drive.workers import Worker
from seawall.testing import Scripted, run_async, run_both, run_threads, virtual_time


class Here(Waiter):
    """Somebody who waits and is always there."""

    def __init__(self):
        self.woken = 0

    def wake(self):
        self.woken += 1
        return True


def enter(queue, ask=ASK):
    """What a queue gives to one who asks."""
    return queue.enter(ask, Here)


def claimed(queue, place):
    """What has become of a place."""
    return queue.claim(place)


def acquire(guard):
    """What a guard gives to one who asks."""
    return guard.acquire()


def held(bulkhead):
    """A block that holds one slot."""
    return Pipeline("held", bulkhead, registry=None).permit()


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


def test_one_who_has_waited_long_enough_is_refused_and_leaves_the_line():
    """R-BH1"""

    def scenario(driven):
        (bulkhead,) = driven.pipeline.policies
        with held(bulkhead), pytest.raises(BulkheadFullError, match="no slot became free within the maximum wait"):
            driven.call(int)
        return round(driven.pipeline.clock.now(), 6), bulkhead.snapshot().gauges["queued"]

    assert run_both(lambda: [Bulkhead(1, queue=1, max_wait=2.0)], scenario) == (2.0, 0)


@pytest.mark.parametrize(
    "options, reason",
    [
        ({}, "full"),
        ({"queue": 0, "max_wait": 5.0}, "full"),
        ({"queue": 1, "max_wait": 60.0}, "queue_full"),
    ],
)
def test_who_may_not_wait_is_refused_at_once(clock, options, reason):
    """R-BH1"""
    bulkhead = Bulkhead(1, **options)
    with held(bulkhead):
        if reason == "queue_full":
            assert isinstance(enter(bulkhead), Parked)
        outcome = Pipeline("p", bulkhead, registry=None).call_outcome(int)
        assert isinstance(outcome.error, BulkheadFullError)
        assert outcome.error.evidence["reason"] == reason
        assert clock.now() == 0.0


def test_a_caller_whose_deadline_has_passed_gets_no_place(clock):
    """R-BH1, R-TM1"""
    bulkhead = Bulkhead(1, queue=5, max_wait=None)
    with held(bulkhead):
        refused = enter(bulkhead, Ask(deadline=-1.0))
        assert refused[0] == "deadline"
        assert isinstance(enter(bulkhead, Ask(deadline=1.0)), Parked)


def test_places_whose_time_is_up_make_room_for_others(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=1, max_wait=1.0)
    with held(bulkhead):
        late = enter(bulkhead)
        clock.advance(1.0)
        other = enter(bulkhead)
        assert isinstance(other, Parked)
        assert bulkhead.claim(other) is other
        assert claimed(bulkhead, late)[0] == "waited"
        bulkhead.abandon(late)
        assert bulkhead.snapshot().gauges["queued"] == 1
    granted = bulkhead.claim(other)
    assert isinstance(granted, Permit)
    bulkhead.leave(granted, Verdict.SUCCESS)
    bulkhead.leave(granted, Verdict.SUCCESS)
    assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_a_wait_that_cannot_fit_is_refused_at_once_and_says_when():
    """R-RL1"""

    def scenario(driven):
        driven.call(int)
        with pytest.raises(RateLimitedError) as caught:
            driven.call(int)
        return caught.value.retry_after, caught.value.evidence["reason"], driven.pipeline.clock.now()

    assert run_both(lambda: [RateLimiter("1/minute", max_wait=59.0)], scenario) == (60.0, "empty", 0.0)
    policies = lambda: [Deadline(30.0), RateLimiter("1/minute", max_wait=90.0)]  # noqa: E731
    assert run_both(policies, scenario) == (60.0, "deadline", 0.0)


def test_one_who_leaves_a_limiters_line_gives_its_tokens_to_those_behind(clock):
    """R-RL1"""
    limiter = RateLimiter("1/second", max_wait=60.0)
    assert isinstance(enter(limiter), Permit)
    first, second, third = (enter(limiter) for _ in range(3))
    assert [place.wake_at for place in (first, second, third)] == [1.0, 2.0, 3.0]
    clock.advance(0.5)
    limiter.abandon(second)
    limiter.abandon(second)
    assert [place.wake_at for place in (first, third)] == [1.0, 2.0]
    assert (first.waiter.woken, third.waiter.woken) == (0, 1)
    clock.advance(0.5)
    permit = claimed(limiter, first)
    assert isinstance(permit, Permit)
    assert claimed(limiter, third) is third
    limiter.record(permit, Verdict.SUCCESS, 0.0)
    limiter.record(permit, Verdict.UNSENT, 0.0)
    clock.advance(1.0)
    assert isinstance(claimed(limiter, third), Permit)
    assert limiter.snapshot().counters == {"requests.allowed": 3, "requests.rejected": 0}


def test_a_cancelled_task_in_a_limiters_line_moves_the_others_up(clock):
    """R-RL1, R-RT5"""
    limiter = RateLimiter("1/second", max_wait=60.0)
    pipeline = Pipeline("p", limiter, registry=None)
    moments = []

    async def one():
        async def body():
            moments.append(round(clock.now(), 6))

        await pipeline.acall(body)

    async def scenario():
        tasks = [asyncio.create_task(one()) for _ in range(4)]
        await asyncio.wait(tasks, timeout=0.5)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_async(scenario())
    assert moments == [0.0, 1.0, 2.0]


def test_a_call_that_waited_and_was_refused_further_in_gets_its_tokens_back(clock):
    """R-RL1"""
    limiter, bulkhead = RateLimiter("1/second", burst=1, max_wait=60.0), Bulkhead(1)
    pipeline = Pipeline("p", limiter, bulkhead, registry=Registry())
    pipeline.call(int)
    with held(bulkhead), pytest.raises(BulkheadFullError):
        pipeline.call(int)
    assert clock.now() == 1.0
    assert limiter.snapshot().gauges["tokens"] == 1.0


def test_a_trial_that_hangs_ends_with_its_lease_and_its_late_result_is_stale(clock):
    """R-CB4, R-CB5"""
    breaker = CircuitBreaker(1, lease=5.0, half_open_max_calls=1, recovery_timeout=30.0)
    pipeline = Pipeline("p", breaker, registry=Registry())
    breaker.half_open()
    states = []

    def watching():
        clock.sleep(1.0)
        refused = pipeline.call_outcome(int).error
        assert isinstance(refused, RejectedError)
        states.append((breaker.state, refused.evidence["reason"], refused.retry_after))
        clock.sleep(5.0)
        states.append((breaker.state, breaker.snapshot().details["reason"], breaker.retry_after))

    hung, _ = run_threads(lambda: pipeline.call(Scripted([(20.0, "late")])), watching)
    assert hung == "late"
    assert states == [
        ("half-open", "trials_busy", 4.0),
        ("open", "a trial call did not return (1 × no result)", 29.0),
    ]
    assert breaker.state == "open"
    assert breaker.snapshot().counters["stale_results"] == 1


def test_results_settle_once_and_only_in_their_own_era(clock):
    """R-CB5"""
    breaker = CircuitBreaker(1)
    late, unsent = acquire(breaker), acquire(breaker)
    breaker.trip()
    for _ in range(2):
        breaker.record(late, Verdict.FAILURE, 0.1)
        breaker.record(unsent, Verdict.UNSENT, 0.0)
    assert breaker.snapshot().counters["stale_results"] == 1
    limiter, bulkhead = RateLimiter("1/second"), Bulkhead(1)
    token, slot = acquire(limiter), enter(bulkhead)
    limiter.after_fork()
    bulkhead.after_fork()
    limiter.record(token, Verdict.UNSENT, 0.0)
    bulkhead.leave(slot, Verdict.SUCCESS)
    assert limiter.snapshot().gauges["tokens"] == 0.0
    assert bulkhead.snapshot().counters["requests.allowed"] == 1


def test_a_sleep_that_is_interrupted_ends_the_call(clock, monkeypatch):
    """R-RT5"""
    dependency = Scripted([ConnectionError])
    pipeline = Pipeline("p", Retry(3, chance=lambda: 0.5), registry=Registry())

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(clock), "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.call(dependency)
    assert dependency.calls == 1
    assert pipeline.snapshot().counters["calls.cancelled"] == 1


def test_an_action_for_the_end_of_a_thread_that_has_ended_is_not_taken(clock):
    """R-TM2"""
    ran: list[int] = []
    worker = Worker(None)  # type: ignore[arg-type]
    assert worker.when_ended(lambda: ran.append(1)) is True
    worker.finish()
    assert worker.when_ended(lambda: ran.append(2)) is False
    assert ran == [1]


def test_a_thread_that_cannot_be_started_is_not_counted(clock, monkeypatch):
    """R-TM2"""
    from seawall import Timeout

    timeout = Timeout(1.0, mode="thread", max_threads=1)
    pipeline = Pipeline("p", timeout, registry=None)

    def exhausted(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", exhausted)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pipeline.call(int)
    assert pipeline.call(int) == 0
