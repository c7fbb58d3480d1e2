"""One pipeline in many loops, one after the other and side by side (user pains 8)."""

import asyncio
import gc
import sys
import threading

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
    StaleCache,
    Timeout,
)
from seawall.testing import Scripted
from tests.support.ways import MODULE_BOTH_WAYS

pytestmark = MODULE_BOTH_WAYS


def everything():
    return Pipeline(
        "everything",
        Fallback("instead", on=LookupError),
        StaleCache(60.0, fresh=0.0),
        Deadline(5.0),
        Retry(2),
        CircuitBreaker(50),
        RateLimiter("10000/second", burst=3, max_wait=1.0),
        Bulkhead(2, queue=100, max_wait=2.0),
        Timeout(2.0),
        registry=None,
    )


async def many(pipeline):
    """More calls at once than there are slots, so that tasks wait for each other."""

    async def work(number):
        await asyncio.sleep(0.001)
        return number

    return await asyncio.gather(*[pipeline.acall(work, number) for number in range(10)])


def test_three_loops_in_a_row_use_the_same_policies():
    """R-PL1. aiolimiter, litellm and pydantic-ai were bound to the loop that made them."""
    pipeline = everything()
    for _ in range(3):
        assert asyncio.run(many(pipeline)) == list(range(10))


def test_two_loops_in_two_threads_share_the_same_policies():
    """R-PL1"""
    pipeline = everything()
    results = []
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(many(pipeline)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [list(range(10))] * 2
    assert pipeline.policies[6].snapshot().gauges["in_flight"] == 0


@pytest.mark.slow
def test_a_hundred_thousand_refusals_leave_no_growth():
    """R-CB6. failsafe's and pybreaker's errors chain one on another."""
    pipeline = Pipeline("p", Retry(3), CircuitBreaker(1, recovery_timeout=3600.0), registry=None)
    pipeline.call_outcome(Scripted([ConnectionError]))

    def refuse(times):
        last = None
        for _ in range(times):
            try:
                pipeline.call(int)
            except CircuitOpenError as error:
                last = error
        return last

    refuse(10_000)  # the journal's ring is full then
    gc.collect()
    before = sys.getallocatedblocks()
    last = refuse(100_000)
    gc.collect()
    after = sys.getallocatedblocks()
    assert last is not None
    assert last.__context__ is None
    assert last.__cause__ is None
    assert after - before < 5_000  # blocks, of the millions that were allocated
