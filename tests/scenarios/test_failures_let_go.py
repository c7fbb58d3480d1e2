"""What has failed is let go of at once, without a garbage collection: arguments may be large, or hold connections."""

import contextlib
import gc
import weakref
from typing import Any

import pytest

from seawall import Bulkhead, CircuitBreaker, Fallback, Pipeline, Retry, Timeout
from seawall.backoff import Constant
from seawall.testing import run_async, virtual_time

NOW = Constant(base=0.0, jitter="none")


class Large:
    """An argument."""


POLICIES: dict[str, Any] = {
    "none": list,
    "retry": lambda: [Retry(2, backoff=NOW)],
    "failing fallback": lambda: [Fallback(dead)],
    "guards": lambda: [CircuitBreaker(5), Bulkhead(5)],
    "timeout": lambda: [Timeout(5.0, mode="cooperative")],
}


def dead(argument):
    raise ConnectionError("dead")


async def adead(argument):
    raise ConnectionError("dead")


def items(argument, after=2):
    yield from range(after)
    raise ConnectionError("gone")


async def aitems(argument, after=2):
    for n in range(after):
        yield n
    raise ConnectionError("gone")


def read(pipeline, large):
    list(pipeline.stream(items, large))


def read_first(pipeline, large):
    list(pipeline.stream(items, large, 0))


async def aread(pipeline, large):
    async for _ in pipeline.stream(aitems, large):
        pass


async def aread_first(pipeline, large):
    async for _ in pipeline.stream(aitems, large, 0):
        pass


async def acall(pipeline, large):
    await pipeline.acall(adead, large)


def call(pipeline, large):
    pipeline.call(dead, large)


@pytest.fixture(autouse=True)
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("policies", POLICIES)
@pytest.mark.parametrize("way", [call, read, read_first])
def test_a_failed_call_keeps_nothing(way, policies):
    with virtual_time():
        pipeline = Pipeline("p", *POLICIES[policies](), registry=None)
        large = Large()
        kept = weakref.ref(large)
        with contextlib.suppress(Exception):
            way(pipeline, large)
        del large
        assert kept() is None


@pytest.mark.parametrize("policies", POLICIES)
@pytest.mark.parametrize("way", [acall, aread, aread_first])
def test_a_failed_awaited_call_keeps_nothing(way, policies):
    async def main():
        pipeline = Pipeline("p", *POLICIES[policies](), registry=None)
        large = Large()
        kept = weakref.ref(large)
        with contextlib.suppress(Exception):
            await way(pipeline, large)
        del large
        assert kept() is None

    with virtual_time():
        run_async(main())
