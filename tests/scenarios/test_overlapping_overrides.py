"""Overrides that overlap, fail half-way or meet other threads (R-PL5)."""

from typing import Any

import pytest

import seawall
from seawall import (
    Bulkhead,
    ConfigurationError,
    Pipeline,
    RateLimiter,
    Registry,
    Retry,
    Timeout,
)
from seawall.backoff import Constant
from seawall.events.types import OverrideEnded, RetryScheduled
from seawall.testing import Recorder, Scripted, run_threads, virtual_time

ORDERS: dict[str, Any] = {"owner": "ops", "reason": "overload"}


@pytest.mark.parametrize("first", [0, 1])
def test_overrides_of_one_limit_leave_it_as_it_was_in_whatever_order_they_end(first):
    with virtual_time():
        bulkhead, limiter = Bulkhead(10), RateLimiter("10/second")
        pipeline = Pipeline("p", limiter, bulkhead, registry=None)
        held = [
            pipeline.override(max_concurrent=5, rate="5/second", **ORDERS),
            pipeline.override(max_concurrent=2, rate="2/second", **ORDERS),
        ]
        pipeline.lift(held.pop(first))
        now = {0: 2, 1: 5}[first]
        assert (bulkhead.options.limit, limiter.rate) == (now, f"{now}/second")
        pipeline.lift(held.pop())
        assert (bulkhead.options.limit, limiter.rate) == (10, "10/second")


@pytest.mark.parametrize("rate", ["bogus", "5/second"])
def test_an_override_that_is_refused_has_changed_nothing(rate):
    with virtual_time():
        bulkhead = Bulkhead(10)
        policies = [bulkhead] if rate != "bogus" else [RateLimiter("10/second"), bulkhead]
        pipeline = Pipeline("p", *policies, registry=None)
        with pytest.raises(ConfigurationError):
            pipeline.override(max_concurrent=1, rate=rate, **ORDERS)
        assert bulkhead.options.limit == 10


def test_an_override_ends_once_however_many_threads_see_it_expire():
    with virtual_time():
        registry = Registry()
        bulkhead = Bulkhead(10)
        pipeline = Pipeline("p", bulkhead, registry=registry)
        one = pipeline.override(max_concurrent=5, **ORDERS)
        with Recorder(registry.bus) as recorder:
            ended = run_threads(*[lambda: pipeline._end(one, "expired")] * 8)
        assert sorted(map(bool, ended)) == [False] * 7 + [True]
        assert bulkhead.options.limit == 10
        assert len(recorder.of(OverrideEnded)) == 1


def test_events_under_an_override_are_numbered_like_all_others():
    """R-OB2: refusals are found by their number."""
    with virtual_time():
        registry = Registry()
        retry = Retry(3, backoff=Constant(base=0.0), budget=None)
        pipeline = Pipeline("p", retry, registry=registry)
        with Recorder(registry.bus) as recorder:
            for _ in range(3):
                with seawall.override(attempts=2), pytest.raises(ConnectionError):
                    pipeline.call(Scripted([ConnectionError]))
        numbers = [event.number for event in recorder.of(RetryScheduled)]
        assert len(numbers) == len(set(numbers)) == 3


def test_a_timeout_is_overridden_for_streams_too():
    with virtual_time() as clock:

        def source():
            for n in range(3):
                clock.sleep(1.0)
                yield n
                if n == 1:
                    clock.sleep(1.0)
                    raise ConnectionError("late")

        pipeline = Pipeline("p", Timeout(60.0, mode="cooperative"), registry=None)
        with seawall.override(timeout=2.5):
            stream = pipeline.stream(source)
        with pytest.raises(seawall.StreamTimedOutError):
            list(stream)
