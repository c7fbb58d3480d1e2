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
    Deadline,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    StreamInterruptedError,
    StreamTimedOutError,
    TimedOutError,
    Timeout,
)
from seawall.backoff import Constant
from seawall.testing import run_async, virtual_time

NOW = Constant(base=0.0, jitter="none")


class Source:
    """A stream that follows a script: items, `(seconds, item)` pairs and errors; one script for each attempt."""

    def __init__(self, colour, clock, *scripts):
        self.colour, self.clock, self.scripts = colour, clock, scripts
        self.opened = 0
        self.closed = 0

    def _script(self):
        script = self.scripts[min(self.opened, len(self.scripts) - 1)]
        self.opened += 1
        return script

    def plain(self):
        try:
            for step in self._script():
                seconds, item = step if isinstance(step, tuple) else (0.0, step)
                if seconds:
                    self.clock.sleep(seconds)
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed += 1

    async def coroutine(self):
        try:
            for step in self._script():
                seconds, item = step if isinstance(step, tuple) else (0.0, step)
                if seconds:
                    await asyncio.sleep(seconds)
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed += 1

    @property
    def function(self):
        return self.plain if self.colour == "sync" else self.coroutine


class Play:
    """One scenario's pipeline, in one colour."""

    def __init__(self, colour, clock):
        self.colour, self.clock = colour, clock

    def source(self, *scripts):
        return Source(self.colour, self.clock, *scripts)

    def pipeline(self, *policies):
        return Pipeline("stream", *policies, registry=None)

    def read(self, stream, *, think=0.0, most=None):
        """The items, and the error that ended them."""
        return (
            run_async(self._aread(stream, think, most)) if self.colour == "async" else self._read(stream, think, most)
        )

    def _read(self, stream, think, most):
        got = []
        try:
            for item in stream:
                got.append(item)
                self.clock.sleep(think)
                if len(got) == most:
                    stream.close()
        except Exception as error:
            return got, error
        return got, None

    async def _aread(self, stream, think, most):
        got = []
        try:
            async for item in stream:
                got.append(item)
                await asyncio.sleep(think)
                if len(got) == most:
                    await stream.aclose()
        except Exception as error:
            return got, error
        return got, None


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


@pytest.mark.parametrize(
    "limits, script, got, which, at",
    [
        ({"first_item": 2.0}, [(3.0, 1)], [], "first item timeout", 2.0),
        ({"first_item": 2.0, "idle": 1.0}, [(1.5, 1), (1.5, 2)], [1], "idle timeout", 2.5),
        ({"idle": 1.0}, [(1.5, 1)], [], "idle timeout", 1.0),
        ({"limit": 2.0}, [(0.75, 1), (0.75, 2), (0.75, 3)], [1, 2], "timeout", 2.0),
        ({"min_rate": 1.0, "rate_window": 4.0}, [(0.5, 1), (0.5, 2), (2.5, 3), (2.5, 4)], [1, 2, 3], "minimum rate", 4),
    ],
    ids=["first", "idle", "idle is for the first too", "total", "rate"],
)  # fmt: skip
def test_a_stream_that_is_too_slow_ends_at_its_limit(play, limits, script, got, which, at):
    """R-TM3. SDKs clear their timeout when the headers arrive."""
    source = play.source([*script, (0.0, ConnectionError("late"))] if play.colour == "async" else late(script))
    pipeline = play.pipeline(Bulkhead(1), Timeout(mode="cooperative", **limits))
    items, error = play.read(pipeline.stream(source.function))
    assert items == got
    assert isinstance(error, StreamTimedOutError if got else TimedOutError)
    assert isinstance(error, TimedOutError)
    reason = error.__cause__ if got else error
    assert isinstance(reason, TimedOutError)
    assert reason.evidence["which"] == which
    assert play.clock.now() == at or play.colour == "sync"
    assert pipeline.policies[0].snapshot().gauges["in_flight"] == 0


def late(script):
    """Plain code cannot be cut short: what comes too late must be an error to be seen as one."""
    return [*script[:-1], (script[-1][0], ConnectionError("late"))]


def test_plain_code_that_looks_at_the_time_ends_at_its_idle_limit():
    """R-TM3: as adapters do."""
    import seawall

    with virtual_time() as clock:

        def source():
            yield 1
            clock.sleep(seawall.remaining() or 30.0)
            raise ConnectionError("read timed out")

        with pytest.raises(StreamTimedOutError):
            list(Pipeline("s", Timeout(idle=2.0, mode="cooperative"), registry=None).stream(source))
        assert clock.now() == 2.0


def test_a_silent_stream_in_thread_mode_is_left_behind_at_its_limit():
    """R-TM3, R-TM2"""
    with virtual_time() as clock:

        def source():
            yield 1
            clock.sleep(30.0)
            yield 2

        timeout, bulkhead = Timeout(idle=2.0, mode="thread"), Bulkhead(1)
        pipeline = Pipeline("s", bulkhead, timeout, registry=None)
        stream = pipeline.stream(source)
        with clock.working():
            assert next(stream) == 1
            with pytest.raises(StreamTimedOutError):
                next(stream)
            assert clock.now() == 2.0
            assert timeout.snapshot().counters["abandoned"] == 1
            assert bulkhead.snapshot().gauges["in_flight"] == 1  # the thread is still inside
            clock.sleep(40.0)


def test_the_consumers_own_time_is_not_charged(play):
    """R-TM3"""
    source = play.source([(0.5, n) for n in range(4)])
    pipeline = play.pipeline(Timeout(3.0, idle=1.0, min_rate=0.5, rate_window=2.0, mode="cooperative"))
    assert play.read(pipeline.stream(source.function), think=60.0) == ([0, 1, 2, 3], None)


def test_the_consumers_own_time_does_not_make_a_call_slow(play):
    """R-CB2"""
    from seawall import SlowRate

    breaker = CircuitBreaker(trip=[SlowRate(1.0, slower_than=2.0, calls=1, min_calls=1)])
    pipeline = play.pipeline(breaker)
    play.read(pipeline.stream(play.source([(0.5, 1), (0.5, 2)]).function), think=60.0)
    assert breaker.state == "closed"
    play.read(pipeline.stream(play.source([(1.5, 1), (1.5, 2)]).function))
    assert breaker.state == "open"


def test_a_deadline_ends_a_stream_whatever_it_gives(play):
    """R-TM1"""
    source = play.source([(0.75, n) for n in range(3)] + [(0.75, ConnectionError("late"))])
    got, error = play.read(play.pipeline(Deadline(2.5)).stream(source.function))
    assert got == [0, 1, 2]
    assert isinstance(error, StreamTimedOutError)


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
