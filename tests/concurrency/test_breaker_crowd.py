"""Crowds at a circuit breaker: exactly as many trials as there are places, and exact counts."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from seawall import CircuitBreaker, CircuitOpenError, Pipeline
from seawall.core.permit import ASK, Permit
from seawall.core.verdict import Verdict
from seawall.testing import VirtualClock, run_async, run_threads, virtual_time
from tests.support.ways import MODULE_BOTH_WAYS

pytestmark = MODULE_BOTH_WAYS

CROWD = 1000
PLACES = 3


class Dependency:
    """Counts how many calls reach it at once and in all; each takes a second."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.reached = 0

    def arrive(self) -> None:
        with self.lock:
            self.reached += 1

    def call(self) -> str:
        self.arrive()
        self.clock.sleep(1.0)
        return "fine"

    async def acall(self) -> str:
        self.arrive()
        await asyncio.sleep(1.0)
        return "fine"


def opened(clock: VirtualClock) -> tuple[CircuitBreaker, Pipeline]:
    """A circuit at the very end of its open period."""
    breaker = CircuitBreaker(1, recovery_timeout=10.0, half_open_max_calls=PLACES, success_threshold=PLACES)
    pipeline = Pipeline("d", breaker, registry=None)
    breaker.trip()
    clock.advance(10.0)
    return breaker, pipeline


def threads(pipeline: Pipeline, dependency: Dependency, number: int) -> list[Callable[[], list[object]]]:
    """Plain callers; each gives a list of how its calls ended."""

    def one() -> list[object]:
        try:
            return [pipeline.call(dependency.call)]
        except CircuitOpenError as refusal:
            return [refusal.evidence["reason"]]

    return [one] * number


def tasks(pipeline: Pipeline, dependency: Dependency, number: int) -> Callable[[], list[object]]:
    """So many tasks in a loop of their own."""

    async def one() -> object:
        try:
            return await pipeline.acall(dependency.acall)
        except CircuitOpenError as refusal:
            return refusal.evidence["reason"]

    async def everybody() -> list[object]:
        return list(await asyncio.gather(*[one() for _ in range(number)]))

    return lambda: run_async(everybody())


@pytest.mark.parametrize("in_threads, in_tasks", [(CROWD, 0), (0, CROWD), (CROWD // 2, CROWD // 2)])
def test_of_a_crowd_at_the_end_of_the_open_period_exactly_the_places_are_filled(in_threads, in_tasks):
    """R-CB4"""
    with virtual_time() as clock:
        breaker, pipeline = opened(clock)
        dependency = Dependency(clock)
        work = threads(pipeline, dependency, in_threads)
        if in_tasks:
            work.append(tasks(pipeline, dependency, in_tasks))
        ends: list[object] = []
        for found in run_threads(*work):
            assert isinstance(found, list), found
            ends += found
        assert dependency.reached == PLACES
        assert sorted(map(str, set(ends))) == ["fine", "trials_busy"]
        assert ends.count("fine") == PLACES
        assert ends.count("trials_busy") == CROWD - PLACES
        assert breaker.state == "closed"
        assert breaker.snapshot().counters["requests.rejected"] == CROWD - PLACES


def test_a_crowd_for_many_keys_fills_the_places_of_each():
    """R-CB4 R-CB7"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=10.0, half_open_max_calls=PLACES, key="host")
        for host in range(10):
            breaker.trip(key=host)
        clock.advance(10.0)

        def many(place: int) -> Callable[[], list[Permit]]:
            def ask() -> list[Permit]:
                answers = [breaker.acquire(ASK._replace(key=(host + place) % 10)) for host in range(10)]
                return [answer for answer in answers if isinstance(answer, Permit)]

            return ask

        found = run_threads(*[many(place) for place in range(16)])
        assert sum(len(one) for one in found if isinstance(one, list)) == 10 * PLACES
        assert breaker.snapshot().gauges["trials"] == 10 * PLACES


@pytest.mark.slow
def test_sixteen_threads_of_a_hundred_thousand_permits_are_counted_exactly():
    """R-CB5 R-QA1"""
    breaker = CircuitBreaker(10**9)

    def work() -> None:
        for number in range(100_000):
            permit = breaker.acquire()
            assert isinstance(permit, Permit)
            breaker.record(permit, Verdict.FAILURE if number % 4 == 0 else Verdict.SUCCESS, 0.001)

    assert run_threads(*[work] * 16) == [None] * 16
    snapshot = breaker.snapshot()
    assert snapshot.counters["requests.success"] == 1_200_000
    assert snapshot.counters["requests.failure"] == 400_000
    assert snapshot.counters["stale_results"] == 0
    assert sum(snapshot.histograms["duration"].counts) == 1_600_000
