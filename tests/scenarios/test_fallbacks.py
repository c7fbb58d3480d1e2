"""Chains with memory of what is down, and caches of the last good value (R-FB1)."""

import asyncio
import gc
import weakref

import pytest

import seawall
from seawall import (
    CircuitBreaker,
    ConfigurationError,
    Deadline,
    DeadlineExceededError,
    Fallback,
    Pipeline,
    Retry,
    StaleCache,
)
from seawall.backoff import Constant
from seawall.testing import Scripted, run_async, run_both, run_threads, virtual_time
from tests.support.both import both


def dead(*args):
    raise ConnectionError("dead")


@both(lambda: [Fallback(Scripted([LookupError("down too")]), lambda: "third", "last")])
def test_a_chain_takes_the_first_that_answers_and_says_which(driven):
    """R-FB1"""
    outcome = driven.outcome(dead)
    assert (outcome.value, outcome.degraded, outcome.source) == ("third", True, "function-2")


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_choice_that_has_failed_is_left_out_for_a_while(colour):
    """R-FB1"""
    second = Scripted([LookupError("down too")])
    with virtual_time() as clock:
        pipeline = Pipeline("p", Fallback(second, "last", cooldown=30.0), registry=None)
        for at, calls in ((0.0, 1), (29.0, 1), (1.0, 2)):
            clock.advance(at)
            assert call(pipeline, colour, ConnectionError()) == "last"
            assert second.calls == calls


def call(pipeline, colour, *script):
    """One call in a colour."""
    source = Scripted(script)
    return pipeline.call(source) if colour == "sync" else run_async(pipeline.acall(source.acall))


@both(lambda: [Fallback(dead, dead, cooldown=60.0)])
def test_a_chain_of_which_all_are_down_is_tried_all_the_same(driven):
    """R-FB1: one of them may be back, and there is nothing better."""
    for _ in range(2):
        with pytest.raises(ConnectionError):
            driven.call(Scripted([KeyError]), "sku")
    (policy,) = driven.pipeline.policies
    assert policy.snapshot().counters["failed"] == 4


def test_a_fallback_that_takes_too_long_gives_way_to_the_next():
    """R-FB1: its own short timeout."""

    async def hanging():
        await asyncio.sleep(60.0)

    def looking():
        assert seawall.remaining() == 1.0
        raise TimeoutError

    for colour, slow in (("async", hanging), ("sync", looking)):
        with virtual_time() as clock:
            pipeline = Pipeline("p", Fallback(slow, "quick", timeout=1.0), registry=None)
            assert call(pipeline, colour, ConnectionError()) == "quick"
            assert clock.now() == (1.0 if colour == "async" else 0.0)


def test_a_failed_fallback_keeps_no_error_alive():
    """R-FB1"""
    pipeline = Pipeline("p", Fallback(dead, "last"), registry=None)

    class Held(Exception):
        pass

    def failing():
        error = Held()
        seen.append(weakref.ref(error))
        raise error

    seen: list[weakref.ref[Held]] = []
    gc.disable()
    try:
        assert pipeline.call(failing) == "last"
        gc.collect()
        assert seen[0]() is None
    finally:
        gc.enable()


def test_a_fallback_needs_something_to_answer_with():
    with pytest.raises(ConfigurationError, match="nothing to answer with"):
        Fallback()
    with pytest.raises(ConfigurationError, match=r"Fallback.timeout = 0"):
        Fallback(1, timeout=0)


class TestStaleCache:
    """R-FB1"""

    def test_the_last_good_value_stands_in_for_a_failure_until_it_is_too_old(self):
        def scenario(driven):
            clock = driven.pipeline.clock
            seen: list[str] = []
            for at, answer in ((0.0, "new"), (59.0, ConnectionError()), (1.0, ConnectionError("real"))):
                clock.advance(at)
                try:
                    seen.append(driven.call(Scripted([answer]), "sku"))
                except ConnectionError as error:
                    seen.append(str(error))
            return seen

        assert run_both(lambda: [StaleCache(60.0)], scenario) == ["new", "new", "real"]

    @both(lambda: [StaleCache(60.0), CircuitBreaker(1, recovery_timeout=100.0)])
    def test_it_answers_refused_calls_and_says_that_it_does(self, driven):
        driven.call(lambda sku: sku, "a")
        driven.call(dead, "a")
        outcome = driven.outcome(lambda sku: "not reached", "a")
        assert (outcome.value, outcome.degraded, outcome.source, outcome.attempts) == ("a", True, "stale", 0)
        assert type(outcome.cause).__name__ == "CircuitOpenError"

    @both(lambda: [StaleCache(60.0)])
    def test_a_key_without_a_value_has_its_own_failure(self, driven):
        driven.call(lambda sku: sku, "a")
        with pytest.raises(ConnectionError):
            driven.call(dead, "b")

    @both(lambda: [StaleCache(60.0, fresh=10.0, spread=0.0)])
    def test_a_fresh_value_answers_without_a_call(self, driven):
        source = Scripted(["first", "second"])
        seen = []
        for at in (0.0, 9.0, 1.0):
            driven.pipeline.clock.advance(at)
            seen.append(driven.call(source, "sku"))
        assert seen == ["first", "first", "second"]
        assert source.calls == 2

    @both(lambda: [StaleCache(60.0)])
    def test_an_error_of_the_callers_own_is_not_answered_for(self, driven):
        class NotFoundError(Exception):
            status_code = 404

        driven.call(lambda sku: sku, "a")
        with pytest.raises(NotFoundError):
            driven.call(Scripted([NotFoundError]), "a")

    def test_a_hundred_threads_fetch_a_missing_value_once(self):
        with virtual_time() as clock:
            source = Scripted([(1.0, "value")])
            pipeline = Pipeline("p", StaleCache(60.0, fresh=10.0), registry=None)
            assert run_threads(*[lambda: pipeline.call(source)] * 100) == ["value"] * 100
            assert source.calls == 1
            assert clock.now() == 1.0

    def test_a_hundred_tasks_fetch_a_missing_value_once_and_share_its_failure(self):
        source = Scripted([(1.0, ConnectionError("dead"))])
        pipeline = Pipeline("p", StaleCache(60.0, fresh=10.0), registry=None)

        async def main():
            return await asyncio.gather(*[pipeline.acall(source.acall) for _ in range(100)], return_exceptions=True)

        with virtual_time(pipeline):
            errors = run_async(main())
        assert {type(error) for error in errors} == {ConnectionError}
        assert source.calls == 1

    def test_when_the_one_who_fetches_is_cancelled_another_does(self):
        source = Scripted([(1.0, "value")])
        pipeline = Pipeline("p", StaleCache(60.0, fresh=10.0), registry=None)

        async def main():
            tasks = [asyncio.create_task(pipeline.acall(source.acall)) for _ in range(3)]
            await asyncio.sleep(0.5)
            tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        with virtual_time(pipeline):
            results = run_async(main())
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == ["value", "value"]
        assert source.calls == 2

    def test_while_one_fetches_the_others_get_the_old_value_at_once(self):
        source = Scripted(["old", (5.0, "new")])
        pipeline = Pipeline("p", StaleCache(60.0, fresh=10.0, spread=0.0), registry=None)

        async def main():
            await pipeline.acall(source.acall)
            await asyncio.sleep(10.0)
            first = asyncio.create_task(pipeline.acall(source.acall))
            await asyncio.sleep(1.0)
            outcome = await pipeline.acall_outcome(source.acall)
            return outcome.value, outcome.degraded, outcome.source, await first

        with virtual_time(pipeline):
            assert run_async(main()) == ("old", True, "stale", "new")

    def test_one_who_waits_for_anothers_fetch_keeps_its_deadline(self):
        source = Scripted([(60.0, "value")])
        pipeline = Pipeline("p", StaleCache(600.0, fresh=10.0), registry=None)

        async def waiting():
            with seawall.deadline(2.0):
                return await pipeline.acall(source.acall)

        async def main():
            first = asyncio.create_task(pipeline.acall(source.acall))
            await asyncio.sleep(1.0)
            with pytest.raises(DeadlineExceededError):
                await waiting()
            first.cancel()

        with virtual_time(pipeline) as clock:
            run_async(main())
            assert clock.now() == 3.0

    def test_it_keeps_no_more_keys_than_it_may(self):
        cache = StaleCache(60.0, max_keys=10)
        pipeline = Pipeline("p", cache, registry=None)
        with virtual_time(pipeline):
            for number in range(1000):
                pipeline.call(lambda n: n, number)
            assert cache.snapshot().gauges["keys"] == 10

    def test_arguments_that_cannot_be_a_key_are_an_error_with_a_remedy(self):
        pipeline = Pipeline("p", StaleCache(60.0), registry=None)
        with pytest.raises(ConfigurationError, match="give key ="):
            pipeline.call(lambda found: found, ["a"])
        keyed = Pipeline("q", StaleCache(60.0, key="sku"), registry=None)
        assert keyed.call(lambda found, sku: sku, ["a"], "x") == "x"

    @both(lambda: [Fallback("none left"), StaleCache(60.0), Deadline(5.0), Retry(2, backoff=Constant(base=0.0))])
    def test_a_fallback_around_it_answers_when_there_is_no_old_value(self, driven):
        assert driven.call(dead, "sku") == "none left"

    @pytest.mark.parametrize(
        "make, text",
        [
            (lambda: StaleCache(0), "StaleCache.stale = 0"),
            (lambda: StaleCache(5, fresh=6), "StaleCache.fresh = 6: must be at most stale"),
            (lambda: StaleCache(5, max_keys=0), "StaleCache.max_keys = 0"),
            (lambda: StaleCache(5, spread=2), "StaleCache.spread = 2"),
            (
                lambda: StaleCache(5, key=3),  # type: ignore[arg-type]
                "StaleCache.key = 3",
            ),
        ],
    )
    def test_a_mistake_is_refused_with_place_value_and_remedy(self, make, text):
        with pytest.raises(ConfigurationError, match=text):
            make()
