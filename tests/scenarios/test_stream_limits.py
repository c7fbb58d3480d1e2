"""How long a stream may take: for its first item, between two, in total, and at a rate (R-TM3)."""

import pytest

import seawall
from seawall import (
    Bulkhead,
    CircuitBreaker,
    Deadline,
    Pipeline,
    Retry,
    SlowRate,
    StreamTimedOutError,
    TimedOutError,
    Timeout,
)
from seawall.backoff import Constant
from seawall.testing import virtual_time
from tests.support.streams import Play


@pytest.fixture(params=["sync", "async"])
def play(request):
    with virtual_time() as clock:
        yield Play(request.param, clock)


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


def test_a_retry_that_would_begin_after_the_deadline_is_not_waited_for(play):
    """R-RT3, for streams."""
    source = play.source([ConnectionError("down")])
    pipeline = play.pipeline(Deadline(5.0), Retry(3, backoff=Constant(base=10.0, jitter="none")))
    items, error = play.read(pipeline.stream(source.function))
    assert (items, type(error)) == ([], ConnectionError)
    assert play.clock.now() == 0


def test_a_stream_waits_for_a_slot_no_longer_than_its_deadline(play):
    """R-BH1, for streams."""
    room = Bulkhead(1, queue=1, max_wait=60.0)
    pipeline = play.pipeline(Deadline(5.0), room)
    source = play.source([1, 2])
    with room.rebound(play.clock), Pipeline("other", room, registry=None).permit():
        items, error = play.read(pipeline.stream(source.function))
    assert (items, type(error)) == ([], seawall.BulkheadFullError)
    assert play.clock.now() <= 5.0
