"""Streams whose source, rules or consumer misbehave: everything is given back, and counted once."""

import asyncio
import threading

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    Fallback,
    Pipeline,
    Retry,
    ShuttingDownError,
    StreamInterruptedError,
    TimedOutError,
    Timeout,
)
from seawall.backoff import Constant
from seawall.core.context import deadline
from seawall.testing import run_async, virtual_time
from tests.support.streams import Play

NOW = Constant(base=0.0, jitter="none")


@pytest.fixture(params=["sync", "async"])
def play(request):
    with virtual_time() as clock:
        yield Play(request.param, clock)


def counts(pipeline):
    return {key.removeprefix("calls."): n for key, n in pipeline.snapshot().counters.items() if n}


def test_every_attempt_has_the_whole_first_item_timeout(play):
    """R-TM3"""
    source = play.source([(1.5, ConnectionError())], [(1.5, 1)])
    pipeline = play.pipeline(Retry(3, backoff=NOW), Timeout(first_item=2.0, mode="cooperative"))
    assert play.read(pipeline.stream(source.function)) == ([1], None)
    assert source.opened == 2


def test_a_first_item_that_is_late_is_asked_for_again_with_all_its_time():
    """R-TM3"""
    with virtual_time() as clock:
        play = Play("async", clock)
        source = play.source([(5.0, 0)], [(1.5, 1)])
        pipeline = play.pipeline(Retry(2, backoff=NOW), Timeout(first_item=2.0))
        assert play.read(pipeline.stream(source.function)) == ([1], None)
        assert clock.now() == 3.5


def test_a_timeout_of_a_thread_counts_once():
    """R-OB1"""
    with virtual_time() as clock:

        def source():
            clock.sleep(30.0)
            yield 1

        timeout = Timeout(idle=2.0, mode="thread")
        stream = Pipeline("s", timeout, registry=None).stream(source)
        with clock.working(), pytest.raises(TimedOutError):
            next(stream)
        assert timeout.snapshot().counters["requests.timed_out"] == 1
        clock.sleep(40.0)


def test_a_classify_that_raises_gives_everything_back(play):
    bulkhead = Bulkhead(1)

    def classify(error, value):
        raise LookupError("the rule is wrong")

    pipeline = Pipeline("s", bulkhead, classify=classify, registry=None)
    for script in ([1], [ConnectionError()]):
        assert isinstance(play.read(pipeline.stream(play.source(script).function))[1], LookupError)
        assert bulkhead.snapshot().gauges["in_flight"] == 0
        assert pipeline._judge.running() == 0


def test_a_retryable_that_raises_ends_the_stream_and_counts_it(play):
    def retryable(error):
        raise LookupError("the rule is wrong")

    source = play.source([ConnectionError()])
    pipeline = play.pipeline(Retry(3, backoff=NOW, retryable=retryable))
    stream = pipeline.stream(source.function)
    assert isinstance(play.read(stream)[1], LookupError)
    assert play.read(stream) == ([], None)
    assert (source.opened, counts(pipeline), pipeline._judge.running()) == (1, {"failure": 1}, 0)


class Cursor:
    """An iterator of either colour that fails, and whose closing fails too."""

    def __init__(self, *, items=0, closing=None):
        self.items, self.closing, self.closed = items, closing, 0

    def __iter__(self):
        return self

    __aiter__ = __iter__

    def __next__(self):
        self.items -= 1
        if self.items < 0:
            raise ConnectionError("gone")
        return 1

    async def __anext__(self):
        return self.__next__()

    def close(self):
        self.closed += 1
        if self.closing is not None:
            raise self.closing

    async def aclose(self):
        self.close()


def opened(play, pipeline, make):
    return pipeline.stream(make) if play.colour == "sync" else pipeline.astream(make)


def test_a_source_that_cannot_be_closed_does_not_hide_what_went_wrong(play):
    cursors = []

    def make():
        cursors.append(Cursor(closing=OSError("cannot close")))
        return cursors[-1]

    bulkhead = Bulkhead(1)
    pipeline = play.pipeline(Retry(2, backoff=NOW), bulkhead)
    error = play.read(opened(play, pipeline, make))[1]
    assert isinstance(error, ConnectionError)
    assert any("could not be closed: OSError" in note for note in error.__notes__)
    assert len(cursors) == 2
    assert counts(pipeline) == {"failure": 1}
    assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_a_stop_iteration_of_the_function_is_an_error_and_no_end(play):
    """PEP 479: an error must not look like a stream that is over."""

    def make():
        raise StopIteration if play.colour == "sync" else StopAsyncIteration

    pipeline = play.pipeline(Retry(1))
    assert isinstance(play.read(opened(play, pipeline, make))[1], RuntimeError)
    assert counts(pipeline) == {"failure": 1}


def test_a_stop_iteration_of_the_fallback_is_an_error_and_no_end(play):
    """PEP 479"""

    def instead():
        raise StopIteration if play.colour == "sync" else StopAsyncIteration

    pipeline = play.pipeline(Fallback(instead))
    assert isinstance(play.read(pipeline.stream(play.source([ConnectionError()]).function))[1], RuntimeError)


def test_a_source_that_asks_its_own_stream_is_told_so_and_goes_on():
    """As a generator would."""
    seen: list[str] = []

    def source():
        try:
            next(stream)
        except ValueError as error:
            seen.append(str(error))
        yield 1

    bulkhead = Bulkhead(5)
    pipeline = Pipeline("s", bulkhead, registry=None)
    stream = pipeline.stream(source)
    assert list(stream) == [1]
    assert "already executing" in seen[0]
    assert counts(pipeline) == {"success": 1}


def test_a_second_task_that_asks_at_the_same_time_is_refused():
    """As by an asynchronous generator."""

    async def source():
        await asyncio.sleep(1.0)
        yield 1

    async def main():
        bulkhead = Bulkhead(1)
        stream = Pipeline("s", bulkhead, registry=None).stream(source)
        first = asyncio.create_task(anext(stream))
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError, match="already running"):
            await anext(stream)
        with pytest.raises(RuntimeError, match="already running"):
            await stream.aclose()
        assert bulkhead.snapshot().gauges["in_flight"] == 1
        assert await first == 1
        await stream.aclose()
        assert bulkhead.snapshot().gauges["in_flight"] == 0

    with virtual_time():
        run_async(main())


def test_a_thread_left_behind_while_opening_has_no_part_in_the_next_attempt():
    """R-TM2"""
    with virtual_time() as clock:
        opened: list[int] = []
        closed: list[int] = []

        class Slow:
            def __init__(self, number):
                self.number = number

            def __iter__(self):
                return self

            def __next__(self):
                clock.sleep(1.0 if self.number > 1 else 0.0)
                return self.number

            def close(self):
                closed.append(self.number)

        def make():
            opened.append(1)
            number = len(opened)
            clock.sleep(2.5 if number == 1 else 1.0)
            return Slow(number)

        bulkhead = Bulkhead(2)
        pipeline = Pipeline("s", Retry(2, backoff=NOW), bulkhead, Timeout(idle=2.0, mode="thread"), registry=None)
        stream = pipeline.stream(make)
        with clock.working():
            assert [next(stream) for _ in range(3)] == [2, 2, 2]
            stream.close()
        clock.sleep(10.0)
        assert sorted(closed) == [1, 2]
        assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_a_consumer_that_thinks_longer_than_the_lease_is_no_failed_trial(play):
    """R-CB4"""
    breaker = CircuitBreaker(1, recovery_timeout=5.0, lease=2.0, success_threshold=1, half_open_max_calls=1)
    pipeline = play.pipeline(breaker)
    breaker.trip()
    play.clock.advance(5.0)
    assert play.read(pipeline.stream(play.source([1, 2]).function), think=10.0)[1] is None
    assert breaker._machine.openings == 1
    assert play.read(pipeline.stream(play.source([1, 2]).function))[1] is None
    assert breaker.state == "closed"


def test_a_consumer_that_leaves_after_the_deadline_says_nothing_about_the_dependency(play):
    """R-CB5"""
    breaker = CircuitBreaker(1)
    pipeline = play.pipeline(breaker)
    with deadline(5.0):
        play.read(pipeline.stream(play.source([(3.0, 1), 2]).function), think=10.0, most=1)
    assert breaker.state == "closed"


def test_a_restart_that_ends_before_the_place_it_broke_off_is_no_success(play):
    source = play.source([1, 2, 3, ConnectionError()], [1, 2])
    pipeline = play.pipeline(Retry(3, backoff=NOW, after_first="restart"))
    got, error = play.read(pipeline.stream(source.function))
    assert got == [1, 2, 3]
    assert isinstance(error, StreamInterruptedError)
    assert error.delivered == 3
    assert counts(pipeline) == {"failure": 1}


def test_a_program_that_shuts_down_gives_no_fallback_either(play):
    pipeline = play.pipeline(Fallback(["a"]))
    pipeline._judge.bus.closing = threading.Event()
    try:
        assert isinstance(play.read(pipeline.stream(play.source([1]).function))[1], ShuttingDownError)
    finally:
        pipeline._judge.bus.closing = None
    assert counts(pipeline) == {"rejected": 1}


def test_a_cancelled_stream_closes_its_source():
    class Hanging(Cursor):
        async def __anext__(self):
            await asyncio.sleep(60.0)

    cursor = Hanging()

    async def main():
        stream = Pipeline("s", registry=None).astream(lambda: cursor)
        task = asyncio.create_task(anext(stream))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with virtual_time():
        run_async(main())
    assert cursor.closed == 1


def test_a_cancellation_while_the_source_closes_is_counted_once():
    class Sticky(Cursor):
        async def aclose(self):
            await asyncio.sleep(60.0)

    async def main():
        pipeline = Pipeline("s", Retry(2, backoff=NOW), registry=None)
        stream = pipeline.astream(Sticky)
        task = asyncio.create_task(anext(stream))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return counts(pipeline), pipeline._judge.running()

    with virtual_time():
        assert run_async(main()) == ({"cancelled": 1}, 0)


def test_a_source_of_both_colours_is_read_in_that_of_the_stream(play):
    cursors = []

    def make():
        cursors.append(Cursor(items=2))
        return cursors[-1]

    got, error = play.read(opened(play, play.pipeline(), make))
    assert got == [1, 1]
    assert isinstance(error, StreamInterruptedError)
    assert [cursor.closed for cursor in cursors] == [1]


def test_a_coroutine_that_is_closed_while_it_waits_for_an_item_awaits_nothing_more():
    """As when a loop is torn down."""

    class Hanging(Cursor):
        async def __anext__(self):
            await asyncio.sleep(60.0)

        async def aclose(self):
            await asyncio.sleep(60.0)

    async def main():
        bulkhead = Bulkhead(1)
        pipeline = Pipeline("s", bulkhead, registry=None)
        waiting = anext(pipeline.astream(Hanging))
        waiting.send(None)
        waiting.close()
        return counts(pipeline), bulkhead.snapshot().gauges["in_flight"]

    with virtual_time():
        assert run_async(main()) == ({"cancelled": 1}, 0)
