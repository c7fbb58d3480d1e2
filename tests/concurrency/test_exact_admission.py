"""Exact admission, however threads are switched: every few lines of ours, and as often as the interpreter can."""

import asyncio
import os
import sys
import threading
from random import Random

import pytest

import seawall
from seawall import Bulkhead, BulkheadFullError, CircuitBreaker, Pipeline, RateLimitedError, RateLimiter, Retry
from seawall.core.clock import using_clock
from tests.support.ops import HandClock

THREADS = 8
HERE = os.path.dirname(seawall.__file__)  # noqa: PTH120 - beside file names of frames, which are texts
SEEDS = range(4)


@pytest.fixture(params=["traced", "switched"])
def restless(request):
    """Gives a function that is called with a seed; afterwards threads are switched as often as can be."""
    interval, trace = sys.getswitchinterval(), sys.gettrace()

    def start(seed):
        sys.setswitchinterval(1e-6)
        if request.param == "traced":
            tracer = yielding(Random(seed))
            threading.settrace(tracer)
            sys.settrace(tracer)

    yield start
    sys.setswitchinterval(interval)
    threading.settrace(trace)
    sys.settrace(trace)


def yielding(dice):
    """A trace function that now and then lets another thread go on in the middle of a line of ours."""
    pause = threading.Event().wait

    def line(frame, event, arg):
        if dice.random() < 0.02:
            pause(1e-6)  # a real wait: it hands the interpreter over
        return line

    def called(frame, event, arg):
        return line if frame.f_code.co_filename.startswith((HERE, "<seawall")) else None

    return called


class Inside:
    """Counts who is inside, with a lock of its own."""

    def __init__(self):
        self._lock = threading.Lock()
        self.now = self.most = self.ever = 0

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.ever += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self._lock:
            self.now -= 1


def together(*work):
    """All of it at once, each in a thread; raises what any of them raised."""
    errors, ready = [], threading.Barrier(len(work))

    def one(function):
        ready.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(function,), daemon=True) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


def repeated(function, refusal, times):
    """Calls so often; a refusal is an answer too."""

    def work():
        for _ in range(times):
            try:
                function()
            except refusal:
                pass

    return work


def repeated_in_tasks(function, refusal, times):
    """The same from three tasks of a loop."""

    async def one():
        for _ in range(times // 3):
            try:
                await function()
            except refusal:
                pass

    async def all_of_them():
        await asyncio.gather(one(), one(), one())

    return lambda: asyncio.run(all_of_them())


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True], ids=["threads", "threads and tasks"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_bulkhead_of_three_never_has_four_inside_and_gets_every_slot_back(restless, seed, mixed):
    bulkhead, inside = Bulkhead(3), Inside()
    protected = Pipeline("p", CircuitBreaker(10**9), bulkhead, registry=None)
    dice = Random(seed)

    @protected
    def call():
        with inside:
            if dice.random() < 0.3:
                threading.Event().wait(1e-6)  # real: another thread is to come in meanwhile

    @protected
    async def acall():
        with inside:
            await asyncio.sleep(0)

    restless(seed)
    times = 60
    work = [repeated(call, BulkheadFullError, times)] * (THREADS - 2 * mixed)
    together(*work, *[repeated_in_tasks(acall, BulkheadFullError, times)] * (2 * mixed))
    gauges, counters = bulkhead.snapshot().gauges, bulkhead.snapshot().counters
    assert inside.most <= 3
    assert (gauges["in_flight"], gauges["queued"], inside.now) == (0, 0, 0)
    assert counters["requests.allowed"] == inside.ever
    assert counters["requests.allowed"] + counters["requests.rejected"] == THREADS * times
    with protected.permit(), protected.permit(), protected.permit(), pytest.raises(BulkheadFullError):
        call()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["token_bucket", "gcra"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_limit_lets_exactly_as_many_through_as_it_has_tokens(restless, seed, algorithm):
    inside, calls = Inside(), 150
    with using_clock(HandClock()):
        limiter = RateLimiter("500/hour", burst=500, algorithm=algorithm)
        protected = Pipeline("p", Retry(1), limiter, registry=None)

    @protected
    def call():
        with inside:
            pass

    @protected
    async def acall():
        with inside:
            await asyncio.sleep(0)

    restless(seed)
    work = [repeated(call, RateLimitedError, calls)] * (THREADS - seed % 2)
    together(*work, *[repeated_in_tasks(acall, RateLimitedError, calls)] * (seed % 2))
    counters = limiter.snapshot().counters
    assert inside.ever == counters["requests.allowed"] == 500
    assert counters["requests.rejected"] == THREADS * calls - 500
    assert limiter.available() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["token_bucket", "gcra", "fixed_window", "sliding_log"])
def test_five_thousand_of_sixteen_thousand_calls_are_admitted(algorithm):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        burst = 5000.0 if algorithm in {"token_bucket", "gcra"} else None
        with using_clock(HandClock()):
            limiter = RateLimiter("5000/hour", burst=burst, algorithm=algorithm)
            protected = Pipeline("p", limiter, registry=None)
        inside = Inside()

        @protected
        def call():
            with inside:
                pass

        together(*[repeated(call, RateLimitedError, 2000)] * THREADS)
        assert inside.ever == limiter.snapshot().counters["requests.allowed"] == 5000
    finally:
        sys.setswitchinterval(before)
