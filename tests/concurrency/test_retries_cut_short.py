"""Retries whose waits are cut short."""

import asyncio
from typing import Any

import pytest

from seawall import Bulkhead, Pipeline, Retry, RetryBudget
from seawall.backoff import Constant
from seawall.core.drain import Drain
from seawall.testing import Scripted, run_async, run_threads, virtual_time

NOW = Constant(base=0.0, jitter="none")


@pytest.mark.parametrize("form", ["call", "stream", "attempts"])
def test_a_retry_that_is_cancelled_in_a_queue_was_never_sent(form):
    """R-RE2: what was booked returns."""
    budget = RetryBudget(minimum=2, floor=0.0, ratio=0.0)
    bulkhead = Bulkhead(1, queue=5, max_wait=None)
    retry = Retry(3, backoff=Constant(base=1.0, jitter="none"), budget=budget)
    pipeline = Pipeline("p", retry, bulkhead, registry=None)

    async def dead():
        raise ConnectionError

    async def items():
        yield await dead()

    async def block():
        async for attempt in pipeline.attempts():
            async with attempt:
                raise ConnectionError

    async def main():
        make: dict[str, Any] = {
            "call": lambda: pipeline.acall(dead),
            "stream": lambda: anext(pipeline.stream(items)),
            "attempts": block,
        }
        task = asyncio.ensure_future(make[form]())
        await asyncio.sleep(0.5)
        async with Pipeline("other", bulkhead, registry=None).permit():
            await asyncio.sleep(1.0)  # the second attempt stands in line now
            assert bulkhead.snapshot().gauges["queued"] == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with virtual_time(pipeline):
        run_async(main())
        assert budget.counts()["withdrawals"] == 0


def test_a_drain_that_is_called_off_at_once_lets_waits_go_on():
    with virtual_time() as clock:
        pipeline = Pipeline("p", Retry(2, backoff=Constant(base=5.0, jitter="none")), registry=None)
        drain = pipeline.policies[0].bus.drain = Drain()

        def call_off():
            clock.sleep(1.0)
            drain.begin()
            drain.end()

        value, _ = run_threads(lambda: pipeline.call(Scripted([ConnectionError, 7])), call_off)
        assert value == 7
        assert clock.now() == 5.0
