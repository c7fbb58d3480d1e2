"""Streams (user pains 1): every scenario runs as a generator and as an asynchronous one."""

import asyncio
import functools
import gc
import inspect

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    StaleCache,
    StreamInterruptedError,
)
from seawall.backoff import Constant
from seawall.testing import run_async, virtual_time
from tests.support.streams import Play, Source

NOW = Constant(base=0.0, jitter="none")


@pytest.fixture(params=["sync", "async"])
def play(request):
    with virtual_time() as clock:
        yield Play(request.param, clock)


def counts(pipeline):
    return {key.removeprefix("calls."): n for key, n in pipeline.snapshot().counters.items() if n}


def test_an_error_before_the_first_item_is_invisible(play):
    """R-PL1. tenacity's and anthropic's retries do nothing here."""
    source = play.source([ConnectionError()], [ConnectionError()], [1, 2, 3])
    pipeline = play.pipeline(Retry(3, backoff=NOW))
    stream = pipeline.stream(source.function)
    assert play.read(stream) == ([1, 2, 3], None)
    assert (source.opened, source.closed, stream.attempts, stream.delivered) == (3, 3, 3, 3)
    assert counts(pipeline) == {"success": 1}


def test_an_error_after_three_items_gives_exactly_three_and_says_so(play):
    """R-PL1. stamina gives the first items again."""
    broken = ConnectionError("gone")
    source = play.source([1, 2, 3, broken])
    pipeline = play.pipeline(Retry(3, backoff=NOW), CircuitBreaker(1))
    got, error = play.read(pipeline.stream(source.function))
    assert got == [1, 2, 3]
    assert isinstance(error, StreamInterruptedError)
    assert (error.delivered, error.__cause__) == (3, broken)
    assert "3 items" in str(error)
    assert source.opened == 1
    assert pipeline.policies[1].state == "open"
    assert counts(pipeline) == {"failure": 1}


def test_a_restart_calls_again_and_leaves_out_what_was_delivered(play):
    source = play.source([1, 2, ConnectionError()], [1, 2, 3, 4])
    pipeline = play.pipeline(Retry(3, backoff=NOW, after_first="restart"))
    assert play.read(pipeline.stream(source.function)) == ([1, 2, 3, 4], None)
    assert source.opened == 2


def test_a_resume_goes_on_from_the_items_so_far(play):
    source = play.source([1, 2, ConnectionError()])
    seen = []

    def resume(items):
        seen.append(items)
        return play.source([3, 4]).function()

    pipeline = play.pipeline(Retry(3, backoff=NOW, after_first="resume", resume=resume))
    assert play.read(pipeline.stream(source.function)) == ([1, 2, 3, 4], None)
    assert seen == [(1, 2)]


def test_a_restart_that_is_used_up_ends_as_interrupted(play):
    source = play.source([1, ConnectionError()], [ConnectionError()])
    pipeline = play.pipeline(Retry(2, backoff=NOW, after_first="restart"))
    got, error = play.read(pipeline.stream(source.function))
    assert got == [1]
    assert isinstance(error, StreamInterruptedError)
    assert source.opened == 2


def test_a_fallback_answers_before_the_first_item_and_is_marked(play):
    """R-FB1"""
    source = play.source([ConnectionError()])
    pipeline = play.pipeline(Fallback(["a", "b"]), Retry(2, backoff=NOW))
    stream = pipeline.stream(source.function)
    assert play.read(stream) == (["a", "b"], None)
    assert stream.degraded
    assert counts(pipeline) == {"degraded": 1}


def test_a_fallback_does_not_answer_after_the_first_item(play):
    source = play.source([1, ConnectionError()])
    got, error = play.read(play.pipeline(Fallback(["a"])).stream(source.function))
    assert got == [1]
    assert isinstance(error, StreamInterruptedError)


def test_a_refused_stream_was_never_begun(play):
    """R-CB6"""
    source = play.source([1])
    breaker = CircuitBreaker(1, recovery_timeout=60.0)
    breaker.trip()
    got, error = play.read(play.pipeline(Retry(3), breaker).stream(source.function))
    assert got == []
    assert isinstance(error, CircuitOpenError)
    assert source.opened == 0


def test_a_stream_that_is_closed_early_is_neutral_and_gives_everything_back(play):
    """R-CB5"""
    source = play.source([1, 2, 3])
    breaker, bulkhead = CircuitBreaker(1), Bulkhead(1)
    pipeline = play.pipeline(breaker, bulkhead)
    assert play.read(pipeline.stream(source.function), most=1) == ([1], None)
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert breaker.snapshot().counters["requests.success"] == 0
    assert source.closed == 1
    assert counts(pipeline) == {"cancelled": 1}


def test_success_is_told_at_the_end_and_not_at_the_start(play):
    breaker = CircuitBreaker(1)
    pipeline = play.pipeline(breaker)
    seen = []

    def look():
        seen.append(breaker.snapshot().counters["requests.success"])

    def plain():
        yield 1
        look()
        yield 2

    async def coroutine():
        yield 1
        look()
        yield 2

    play.read(pipeline.stream(plain if play.colour == "sync" else coroutine))
    assert seen == [0]
    assert breaker.snapshot().counters["requests.success"] == 1


def test_six_hundred_lost_iterators_leave_no_permit(play):
    """R-PL1: never started, dropped half-way, cancelled (stemdeck leaked 200 slots)."""
    bulkhead, breaker = Bulkhead(600), CircuitBreaker(1)
    pipeline = play.pipeline(breaker, bulkhead)
    source = play.source([1, 2, 3])

    async def lose():
        for _ in range(200):
            pipeline.stream(source.coroutine)  # never started
        started = [pipeline.stream(source.coroutine) for _ in range(200)]
        for stream in started:
            await anext(stream)
        assert bulkhead.snapshot().gauges["in_flight"] == 200
        del stream, started

        async def hang():
            async for _ in pipeline.stream(Source("async", play.clock, [(60.0, 1)]).coroutine):
                pass

        tasks = [asyncio.create_task(hang()) for _ in range(200)]
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lose_plain():
        for _ in range(300):
            pipeline.stream(source.plain)
        started = [pipeline.stream(source.plain) for _ in range(300)]
        for stream in started:
            next(stream)
        assert bulkhead.snapshot().gauges["in_flight"] == 300

    if play.colour == "async":
        run_async(lose())
    else:
        lose_plain()
    gc.collect()
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert breaker.state == "closed"


def test_each_item_renews_the_lease_of_a_trial(play):
    """R-CB4: a long stream is no hung trial, a silent one is."""
    breaker = CircuitBreaker(1, recovery_timeout=5.0, lease=2.0, success_threshold=1)
    pipeline = play.pipeline(breaker)
    breaker.trip()
    play.clock.advance(5.0)
    assert play.read(pipeline.stream(play.source([(1.5, n) for n in range(6)]).function))[1] is None
    assert breaker.state == "closed"
    breaker.trip()
    play.clock.advance(5.0)
    play.read(pipeline.stream(play.source([(1.5, 1), (2.5, 2)]).function))
    assert breaker.state != "closed"


def test_a_decorated_generator_is_a_stream(play):
    """R-PL1"""
    source = play.source([ConnectionError()], [1, 2])
    protected = Retry(2, backoff=NOW)(source.function)
    assert play.read(protected()) == ([1, 2], None)


def test_a_generators_return_value_and_sent_values_come_through():
    """R-PL1"""

    def echo():
        got = yield "first"
        yield got
        return "end"

    stream = Pipeline("s", Retry(2), registry=None)(echo)()
    assert inspect.isgenerator(echo())
    assert next(stream) == "first"
    assert stream.send("sent") == "sent"
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == "end"
    with pytest.raises(StopIteration):
        next(stream)


def test_a_function_that_gives_an_iterator_is_a_stream_too():
    """R-PL1: a database cursor, a client's streaming answer."""
    assert list(Pipeline("s", Retry(2), registry=None).stream(iter, [1, 2])) == [1, 2]


def test_a_coroutine_that_gives_an_asynchronous_iterator_is_a_stream_too():
    """R-PL1: `await client.create(stream=True)`"""

    async def items():
        yield 1

    async def create():
        return items()

    async def main():
        pipeline = Pipeline("s", Retry(2), registry=None)
        return [x async for x in pipeline.stream(create)] + [
            x async for x in pipeline.astream(functools.partial(items))
        ]

    assert run_async(main()) == [1, 1]


def test_a_plain_stream_of_something_asynchronous_says_what_to_use():
    async def items():
        yield 1

    with pytest.raises(TypeError, match="astream"):
        next(Pipeline("s", registry=None).stream(lambda made: made, items()))


def test_tokens_of_a_stream_that_was_never_started_stay_in_the_bucket(play):
    limiter = RateLimiter("1/minute", burst=1)
    pipeline = play.pipeline(limiter)
    pipeline.stream(play.source([1]).function)
    assert play.read(pipeline.stream(play.source([1]).function)) == ([1], None)
    assert isinstance(play.read(pipeline.stream(play.source([1]).function))[1], Exception)


def test_an_error_that_is_not_the_dependencys_passes_a_stream_unchanged(play):
    class NotFoundError(Exception):
        status_code = 404

    got, error = play.read(play.pipeline(Retry(3)).stream(play.source([1, NotFoundError()]).function))
    assert got == [1]
    assert type(error) is NotFoundError


def test_a_cache_has_no_part_in_a_stream(play):
    with pytest.raises(ConfigurationError, match="has no part in a stream"):
        play.pipeline(StaleCache(5.0)).stream(play.source([1]).function)
