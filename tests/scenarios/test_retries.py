"""Retries: never past the deadline, never sooner than asked, never together."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from seawall import CircuitBreaker, Deadline, Pipeline, RateLimiter, Registry, Retry, TimedOutError, Timeout
from seawall.backoff import Constant, Custom, Exponential, Fibonacci, Linear
from seawall.events.types import RetryGaveUp, RetryScheduled
from seawall.testing import Recorder, Scripted, run_async, run_both, seeded_chance, virtual_time
from tests.support.names import named


class AskedError(Exception):
    """A failure that asks to wait."""

    def __init__(self, retry_after):
        super().__init__("busy")
        self.retry_after = retry_after


def moments(driven, error):
    """When each attempt began, given that all fail with `error`."""
    began = []

    def failing():
        began.append(round(driven.pipeline.clock.now(), 6))
        raise error

    with pytest.raises(type(error)):
        driven.call(failing)
    return began


def retry(attempts=3, **options):
    options.setdefault("backoff", Constant(base=1.0, jitter="none"))
    options.setdefault("chance", lambda: 0.0)
    return Retry(attempts, **options)


@pytest.mark.parametrize(
    "backoff, delays",
    [
        (Constant(base=2.0, jitter="none"), [2.0, 2.0, 2.0]),
        (Linear(base=1.0, jitter="none"), [1.0, 2.0, 3.0]),
        (Exponential(base=1.0, multiplier=3.0, jitter="none"), [1.0, 3.0, 9.0]),
        (Exponential(base=1.0, multiplier=3.0, cap=4.0, jitter="none"), [1.0, 3.0, 4.0]),
        (Fibonacci(base=1.0, jitter="none"), [1.0, 1.0, 2.0]),
        (Custom(rule=lambda n: n / 2), [0.0, 0.5, 1.0]),
        (Exponential(base=1.0, jitter="full"), [0.5, 1.0, 2.0]),
        (Exponential(base=1.0, jitter="equal"), [0.75, 1.5, 3.0]),
        (Exponential(base=1.0, jitter=0.5), [1.0, 2.0, 4.0]),
        (Exponential(base=1.0, jitter=(1.0, 2.0)), [1.5, 3.0, 6.0]),
        (Exponential(base=1.0, cap=2.0, jitter=(1.0, 2.0)), [1.5, 1.0, 1.0]),
        (Exponential(base=1.0, jitter="decorrelated"), [2.0, 3.5, 5.75]),
        (Exponential(base=1.0, cap=3.0, jitter="decorrelated"), [2.0, 3.0, 3.0]),
    ],
    ids=named,
)
def test_the_delays_follow_the_rule_in_both_colours(backoff, delays):
    """R-RT1"""

    def scenario(driven):
        began = moments(driven, ConnectionError())
        return [round(after - before, 6) for before, after in pairwise(began)]

    assert run_both(lambda: [retry(4, backoff=backoff, chance=lambda: 0.5)], scenario) == delays


def test_a_rule_that_grows_past_all_floats_is_cut_at_its_cap():
    """R-RT1"""
    chance = seeded_chance(1)
    for rule in (Exponential(base=1.0, jitter="none"), Fibonacci(base=1.0, jitter="none")):
        assert rule.delay(5000, chance) == 10.0
    assert Exponential(base=0.0, jitter="none").delay(5000, chance) == 0.0
    assert Fibonacci(base=0.0, jitter="none").delay(5000, chance) == 0.0


def test_no_sleep_passes_the_deadline():
    """R-RT3"""
    policies = lambda: [Deadline(2.5), retry(9)]  # noqa: E731

    def scenario(driven):
        return moments(driven, ConnectionError()), driven.pipeline.clock.now()

    assert run_both(policies, scenario) == ([0.0, 1.0, 2.0], pytest.approx(2.0))


def test_an_enclosing_deadline_counts_for_the_retry_of_an_inner_pipeline():
    """R-RT3, R-TM1"""

    def scenario(driven):
        inner = Pipeline("inner", retry(9), registry=None)
        dependency = Scripted([ConnectionError()])
        with pytest.raises(ConnectionError):
            driven.call(lambda: inner.call(dependency))
        return dependency.calls

    assert run_both(lambda: [Deadline(3.5)], scenario) == 4


def test_a_total_time_ends_the_attempts():
    """R-TM1"""

    def scenario(driven):
        return moments(driven, ConnectionError())

    assert run_both(lambda: [retry(9, max_time=2.5)], scenario) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "asked, dice, delay",
    [(5.0, 0.0, 5.0), (5.0, 0.5, 6.25), (0.2, 0.0, 1.0), (0.9, 0.999, 1.349), (60.0, 0.0, 60.0)],
)
def test_what_the_dependency_asks_is_a_floor_and_spread_by_up_to_half(asked, dice, delay):
    """R-RT3"""

    def scenario(driven):
        return moments(driven, AskedError(asked))[1]

    assert run_both(lambda: [retry(2, chance=lambda: dice)], scenario) == pytest.approx(delay, rel=1e-3)


def test_a_pause_beyond_the_cap_ends_the_call_at_once_with_the_hint_in_the_error():
    """R-RT3"""

    def scenario(driven):
        with Recorder() as recorder, pytest.raises(AskedError) as caught:
            driven.call(Scripted([AskedError(61.0)]))
        (gave_up,) = recorder.of(RetryGaveUp)
        return caught.value.retry_after, driven.pipeline.clock.now(), gave_up.reason, gave_up.attempts

    assert run_both(lambda: [retry()], scenario) == (61.0, 0.0, "retry_after_too_long", 1)


@pytest.mark.parametrize(
    "options, script, reason, calls",
    [
        ({}, [ConnectionError()], "attempts", 3),
        ({}, [TypeError()], "not_retryable", 1),
        ({}, [ConnectionError(), KeyError(), AssertionError()], "not_retryable", 3),
        ({"retryable": KeyError}, [ConnectionError()], "not_retryable", 1),
        ({"retryable": (KeyError, TypeError)}, [TypeError()], "attempts", 3),
        (
            {"retryable": lambda error: "again" in str(error)},
            [ValueError("again"), ValueError("no")],
            "not_retryable",
            2,
        ),
        ({"max_time": 0.5}, [ConnectionError()], "max_time", 1),
    ],
)
def test_giving_up_has_a_reason(options, script, reason, calls):
    """R-RT2, R-RT6"""

    def scenario(driven):
        dependency = Scripted(script)
        failing = pytest.raises((ConnectionError, TypeError, AssertionError, ValueError))
        with Recorder() as recorder, failing:
            driven.call(dependency)
        (policy,) = driven.pipeline.policies
        return recorder.of(RetryGaveUp)[0].reason, dependency.calls, policy.snapshot().counters[f"failures.{reason}"]

    assert run_both(lambda: [retry(**options)], scenario) == (reason, calls, 1)


def test_a_value_may_be_tried_again_and_the_last_one_comes_through():
    """R-RT2"""

    def scenario(driven):
        empty = Scripted(["", "", ""])
        return driven.call(empty), empty.calls, driven.call(Scripted(["", "full"]))

    assert run_both(lambda: [retry(retry_result=lambda value: not value, budget=None)], scenario) == ("", 3, "full")


def test_an_answer_that_says_overloaded_is_tried_again_by_default():
    """R-RT2"""

    class Answer:
        def __init__(self, status, headers):
            self.status_code = status
            self.headers = headers

    def scenario(driven):
        value = driven.call(Scripted([Answer(503, {}), Answer(429, {"Retry-After": "7"}), Answer(404, {})]))
        return value.status_code, driven.pipeline.clock.now()

    assert run_both(lambda: [retry()], scenario) == (404, pytest.approx(8.0))


def asyncio_run(pipeline, dependency):
    """The awaited form of the same call."""
    return run_async(pipeline.acall(dependency.acall))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_an_interrupt_is_never_tried_again(interrupt):
    """R-RT2, R-RT5"""
    with virtual_time():
        for call in ("call", "acall"):
            dependency = Scripted([interrupt])
            pipeline = Pipeline("p", retry(9, retryable=BaseException), registry=None)
            plain = partial(pipeline.call, dependency)
            awaited = partial(asyncio_run, pipeline, dependency)
            with pytest.raises(interrupt):
                (plain if call == "call" else awaited)()
            assert dependency.calls == 1


def test_a_sleep_between_attempts_can_be_cancelled():
    """R-RT5"""
    with virtual_time() as clock:
        pipeline = Pipeline("p", retry(9, backoff=Constant(base=100.0, cap=100.0, jitter="none")), registry=None)
        dependency = Scripted([ConnectionError()])

        async def scenario():
            task = asyncio.create_task(pipeline.acall(dependency.acall))
            await asyncio.wait([task], timeout=150.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run_async(scenario())
        assert dependency.calls == 2
        assert clock.now() == pytest.approx(150.0)


def test_a_circuit_that_opens_ends_the_retry():
    """R-RT2"""

    def scenario(driven):
        dependency = Scripted([ConnectionError()])
        with pytest.raises(ConnectionError):
            driven.call(dependency)
        return dependency.calls

    assert run_both(lambda: [retry(9), CircuitBreaker(2)], scenario) == 2


def test_a_timeout_outside_the_retry_bounds_all_attempts():
    """R-TM1"""

    def scenario(driven):
        dependency = Scripted([(1.0, ConnectionError())])
        with pytest.raises((ConnectionError, TimedOutError)):
            driven.call(dependency)
        return dependency.calls

    assert run_both(lambda: [Timeout(3.5, mode="cooperative"), retry(9)], scenario) == 2


def test_attempts_and_their_delays_are_told_in_events():
    """R-PL4, R-PL6"""

    def scenario(driven):
        with Recorder() as recorder:
            driven.call(Scripted([ConnectionError(), OSError(), 1]))
        return [(event.attempt, event.delay, event.cause) for event in recorder.of(RetryScheduled)]

    assert run_both(lambda: [retry()], scenario) == [(1, 1.0, "ConnectionError"), (2, 1.0, "OSError")]


def test_a_waiting_limiter_inside_a_retry_takes_one_token_for_each_attempt():
    """R-RL1"""
    with virtual_time() as clock:
        limiter = RateLimiter("1/second", max_wait=10.0)
        pipeline = Pipeline("p", retry(3, backoff=Constant(base=0.0)), limiter, registry=Registry())
        with pytest.raises(ConnectionError):
            pipeline.call(Scripted([ConnectionError()]))
        assert clock.now() == pytest.approx(2.0)
        assert limiter.snapshot().counters["requests.allowed"] == 3


def test_a_pause_that_is_known_to_be_wrong_can_be_left_out():
    """R-RT3: two attempts without waiting, though the dependency asks for an hour."""

    def scenario(driven):
        return moments(driven, AskedError(3600.0))

    options = {"backoff": Constant(base=1.0, jitter="none"), "respect_retry_after": False}
    assert run_both(lambda: [retry(2, **options)], scenario) == [0.0, 1.0]
