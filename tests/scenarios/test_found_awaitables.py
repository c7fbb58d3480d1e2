"""Plain functions that turn out to give awaitables, through every kind of policy: counted once, nothing left over."""

import asyncio
import gc
import warnings

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    RetryBudget,
    StaleCache,
    Timeout,
)
from seawall.backoff import Constant
from seawall.testing import run_async, virtual_time

NOW = Constant(base=0.0, jitter="none")


def give(value=1):
    async def later():
        await asyncio.sleep(0.5)
        return value

    return later()


def nonzero(policy):
    return {key: count for key, count in policy.snapshot().counters.items() if count}


@pytest.mark.parametrize(
    "make, counted",
    [
        (lambda: Retry(3, backoff=NOW), {"attempts.1": 1}),
        (lambda: Timeout(5.0, mode="cooperative"), {"requests.ok": 1}),
        (lambda: Timeout(5.0, mode="thread"), {"requests.ok": 1}),
        (lambda: CircuitBreaker(1), {"requests.success": 1}),
        (lambda: RateLimiter("1/minute", burst=1), {"requests.allowed": 1}),
        (lambda: Bulkhead(1), {"requests.allowed": 1}),
        (lambda: Fallback("x"), {}),
        (lambda: StaleCache(60.0, fresh=60.0), {"looks.fetched": 1}),
    ],
    ids=["retry", "cooperative", "thread", "breaker", "rate", "bulkhead", "fallback", "cache"],
)
def test_what_gives_an_awaitable_is_counted_once(make, counted):
    with virtual_time():
        policy = make()
        pipeline = Pipeline("p", policy, registry=None)

        async def main():
            return await pipeline.call(give)

        assert run_async(main()) == 1
        assert nonzero(policy) == counted
        assert {key: n for key, n in pipeline.snapshot().counters.items() if n} == {"calls.success": 1}
        assert pipeline._judge.running() == 0


def test_an_awaitable_of_a_second_attempt_gives_back_what_was_booked_for_it():
    with virtual_time():
        budget = RetryBudget(minimum=2, floor=0.0, ratio=0.0)
        tries: list[int] = []

        def second():
            tries.append(1)
            if len(tries) == 1:
                raise ConnectionError
            return give()

        async def main():
            return await Pipeline("p", Retry(3, backoff=NOW, budget=budget), registry=None).call(second)

        assert run_async(main()) == 1
        assert budget.counts()["withdrawals"] == 0


def test_an_awaitable_that_is_not_needed_any_more_is_closed():
    """Refused the second time, or answered by another's fetch: no warning of what was never awaited."""
    with virtual_time(), warnings.catch_warnings():
        warnings.simplefilter("error")

        async def refused():
            bulkhead = Bulkhead(1)
            pipeline = Pipeline("p", bulkhead, registry=None)
            found = pipeline.call(give)
            async with pipeline.permit():
                with pytest.raises(BulkheadFullError):
                    await found

        async def followed():
            pipeline = Pipeline("p", StaleCache(60.0, fresh=60.0), registry=None)
            assert list(await asyncio.gather(pipeline.call(give), pipeline.call(give))) == [1, 1]

        run_async(refused())
        run_async(followed())
        gc.collect()


def test_a_future_where_an_outcome_was_wanted_is_refused():
    async def main():
        with pytest.raises(TypeError, match="acall_outcome"):
            Pipeline("p", registry=None).call_outcome(asyncio.get_running_loop().create_future)

    run_async(main())
