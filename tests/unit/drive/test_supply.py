"""What is handed out without a lock, in both builds."""

import linecache
import sys
import threading

import pytest

from seawall import Bulkhead, BulkheadFullError, CircuitBreaker, Pipeline, RateLimitedError, RateLimiter, Retry
from seawall.drive import compile as generator
from seawall.drive import supply
from seawall.drive.supply import Supply
from seawall.testing import compiled, virtual_time


@pytest.fixture(params=["with a GIL", "without"])
def build(request, monkeypatch):
    """As it is on builds without a GIL too, as far as that can be had on one with it."""
    monkeypatch.setattr(supply, "GIL", request.param == "with a GIL")
    monkeypatch.setattr(generator, "GIL", request.param == "with a GIL")


def take(one, most=10**9):
    found = []
    try:
        for thing in one.iterator:
            found.append(thing)
            if len(found) == most:
                break
    except IndexError:
        pass
    return found


def test_it_gives_so_many_and_takes_back_the_rest(build):
    one = Supply("ticket", 5)
    assert take(one, 2) == ["ticket"] * 2
    assert (one.left, one.taken) == (3, 2)
    assert one.recall() == 2
    assert one.recall() == 2
    assert take(one) == []


def test_numbers_come_in_order_and_those_left_are_known(build):
    one = Supply(None, 5, first=7)
    assert take(one, 3) == [7, 8, 9]
    assert one.recall() == 3


def test_threads_get_each_once(build):
    one, found = Supply(None, 20_000), []
    threads = [threading.Thread(target=lambda: found.extend(take(one))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(20_000))


def test_generated_code_works_in_both_builds(build):
    with virtual_time(), compiled(True):
        limiter, bulkhead = RateLimiter("1/hour", burst=3000), Bulkhead(2)
        pipeline = Pipeline("p", Retry(2), CircuitBreaker(5), limiter, bulkhead, registry=None)

        @pipeline
        def call(inner):
            return inner()

        for _ in range(2500):
            assert call(lambda: 1) == 1
        with pytest.raises(BulkheadFullError):
            call(lambda: call(lambda: call(int)))
        assert bulkhead.snapshot().gauges["in_flight"] == 0
        count = 0
        while limiter.available() >= 1:
            call(int)
            count += 1
        with pytest.raises(RateLimitedError):
            call(int)
        assert limiter.snapshot().counters["requests.allowed"] == 3000
        assert pipeline.snapshot().counters["calls.success"] == 2500 + count


def test_a_thread_that_is_held_up_between_two_lines_notes_its_token_where_it_belongs():
    """As a trace function holds it up: meanwhile others get, and use, more tokens than there were."""
    with virtual_time() as clock, compiled(True):
        limiter = RateLimiter("1/second", burst=20)
        pipeline = Pipeline("p", limiter, registry=None)

        @pipeline
        def call():
            return 1

        @pipeline
        def other():
            return 1

        for _ in range(20):
            assert call() == 1
        clock.advance(2.0)
        assert call() == 1  # one token is left
        held = 0

        def line(frame, event, arg):
            nonlocal held
            if event == "line" and not held:
                names = frame.f_code.co_freevars
                if "_sw_fn" in names and frame.f_lasti >= 0:
                    source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
                    if "for _sw_token in" in source:
                        held += 1
                        sys.settrace(None)
                        clock.advance(10.0)
                        for _ in range(5):
                            assert other() == 1
                        sys.settrace(lambda *_: line)
            return line

        sys.settrace(lambda *_: line)
        try:
            assert call() == 1
        finally:
            sys.settrace(None)
        assert held == 1
        assert limiter.snapshot().counters["requests.allowed"] == 27
