"""What a 429 with Retry-After does to those who already stand in line."""

import asyncio

import pytest

from seawall import Pipeline, RateLimitedError, RateLimiter
from seawall.testing import run_async, run_threads, virtual_time


class TooManyRequestsError(Exception):
    """What a client library raises for status 429."""

    status_code = 429

    def __init__(self, retry_after: float) -> None:
        super().__init__("429")
        self.retry_after = retry_after


def first_throttled(clock, started):
    """A function whose first call is told to pause for 10 seconds."""

    def function():
        started.append(clock.now())
        if len(started) == 1:
            raise TooManyRequestsError(10.0)

    return function


def in_threads(pipeline, function, callers):
    return run_threads(*[lambda: pipeline.call(function)] * callers)


def in_tasks(pipeline, function, callers):
    async def coroutine():
        function()

    async def all_of_them():
        return await asyncio.gather(*[pipeline.acall(coroutine) for _ in range(callers)], return_exceptions=True)

    return run_async(all_of_them())


@pytest.mark.parametrize("drive", [in_threads, in_tasks])
def test_all_callers_are_held_until_then_and_go_one_by_one(drive):
    started: list[float] = []
    with virtual_time() as clock:
        pipeline = Pipeline("api", RateLimiter("1/second", burst=1, max_wait=60.0), registry=None)
        ends = drive(pipeline, first_throttled(clock, started), 4)
    assert [type(end) for end in ends if end is not None] == [TooManyRequestsError]
    assert started == pytest.approx([0.0, 11.0, 12.0, 13.0])


@pytest.mark.parametrize("drive", [in_threads, in_tasks])
def test_who_may_not_wait_that_long_is_refused_at_once(drive):
    started: list[float] = []
    with virtual_time() as clock:
        pipeline = Pipeline("api", RateLimiter("1/second", burst=1, max_wait=5.0), registry=None)
        ends = drive(pipeline, first_throttled(clock, started), 3)
        assert clock.now() == 0.0
    refusals = [end for end in ends if isinstance(end, RateLimitedError)]
    assert len(refusals) == 2
    assert started == [0.0]
    assert all(refusal.retry_after >= 10.0 for refusal in refusals if refusal.retry_after is not None)
