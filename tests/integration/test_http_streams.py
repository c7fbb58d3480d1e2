"""Server-sent events over real connections, under the policies of a pipeline."""

import asyncio
import gc
import time

import httpx
import pytest

from seawall import Bulkhead, Pipeline, Retry, StreamInterruptedError, StreamTimedOutError, Timeout
from seawall.backoff import Constant
from seawall.integrations.httpx import AsyncSeawallTransport, SeawallTransport
from tests.support.slow_server import SlowServer

pytestmark = [pytest.mark.integration, pytest.mark.alone]
IDLE = 0.4


@pytest.fixture(scope="module")
def server():
    with SlowServer() as running:
        yield running


def events(client, *urls):
    """A generator function of the events at the first url, then of the next one, and so on."""
    left = list(urls)

    def generate():
        url = left.pop(0) if len(left) > 1 else left[0]
        with client.stream("GET", url) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line:
                    yield line.removeprefix("data: ")

    return generate


def async_events(client, *urls):
    left = list(urls)

    async def generate():
        url = left.pop(0) if len(left) > 1 else left[0]
        async with client.stream("GET", url) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line:
                    yield line.removeprefix("data: ")

    return generate


@pytest.fixture(params=["sync", "async"])
def read(request, server):
    """Reads the events at `paths`, one for each attempt, through a pipeline: items, error, seconds."""

    def collect(pipeline, *paths):
        urls = [server.url + path for path in paths]
        bare = Pipeline("http", registry=None)  # its waits end with whatever deadline holds
        items = []

        def plain():
            with httpx.Client(transport=SeawallTransport(bare), timeout=30) as client:
                began = time.monotonic()
                try:
                    for item in pipeline.stream(events(client, *urls)):
                        items.append(item)  # noqa: PERF402  # what came before an error counts
                except Exception as error:
                    return error, time.monotonic() - began
                return None, time.monotonic() - began

        async def coroutine():
            async with httpx.AsyncClient(transport=AsyncSeawallTransport(bare), timeout=30) as client:
                began = time.monotonic()
                try:
                    async for item in pipeline.stream(async_events(client, *urls)):
                        items.append(item)  # noqa: PERF401  # the same
                except Exception as error:
                    return error, time.monotonic() - began
                return None, time.monotonic() - began

        error, took = plain() if request.param == "sync" else asyncio.run(coroutine())
        assert pipeline.policies[-2].snapshot().gauges["in_flight"] == 0
        return items, error, took

    return collect


def pipeline_of(**retry):
    return Pipeline(
        "events",
        Retry(2, backoff=Constant(base=0.001), budget=None, **retry),
        Bulkhead(1),
        Timeout(idle=IDLE, mode="cooperative"),
        registry=None,
    )


@pytest.mark.parametrize("first", ["/status/503", "/reset", "/half-closed", "/sse/0/silence"])
def test_an_error_before_the_first_item_is_invisible(read, first):
    """R-RT2: three items, in order, and nothing of the first attempt."""
    items, error, _ = read(pipeline_of(), first, "/sse/3/end")
    assert (items, error) == (["0", "1", "2"], None)


def test_after_three_items_a_cut_leaves_exactly_three_and_says_so(read, server):
    before = len(server.received)
    items, error, _ = read(pipeline_of(), "/sse/3/cut", "/sse/3/end")
    assert items == ["0", "1", "2"]
    assert isinstance(error, StreamInterruptedError)
    assert error.delivered == 3
    assert len(server.received) - before == 1


def test_silence_ends_at_the_idle_limit(read, record_property):
    """R-TM3"""
    items, error, took = read(pipeline_of(), "/sse/3/silence")
    assert items == ["0", "1", "2"]
    assert isinstance(error, StreamTimedOutError)
    record_property("late_by_s", took - IDLE)
    assert IDLE <= took <= IDLE + 0.15  # the three items take some hundredths


def test_the_idle_limit_of_a_transport_holds_between_the_chunks_of_a_body(server):
    """R-TM3"""
    room = Bulkhead(1)
    pipeline = Pipeline("http", room, Timeout(idle=IDLE, mode="cooperative"), registry=None)
    with httpx.Client(transport=SeawallTransport(pipeline), timeout=30) as client:
        began = time.monotonic()
        got = []
        with pytest.raises(StreamTimedOutError), client.stream("GET", server.url + "/sse/3/silence") as answer:  # noqa: PT012
            for chunk in answer.iter_raw():
                got.append(chunk)  # noqa: PERF402  # what came before the error counts
        assert b"".join(got).count(b"data:") == 3
        assert IDLE <= time.monotonic() - began <= IDLE + 0.2
    assert room.snapshot().gauges["in_flight"] == 0


def test_600_abandoned_iterators_leave_no_permit(server):
    """R-TM3: 200 never started, 200 left after an item, 200 asynchronous ones left after an item."""
    room = Bulkhead(600)
    pipeline = Pipeline("events", room, registry=None)
    url = server.url + "/sse/3/silence"
    with httpx.Client(timeout=30) as client:
        for number in range(400):
            abandoned = pipeline.stream(events(client, url))
            if number % 2:
                assert next(abandoned) == "0"
            del abandoned

    async def leave():
        async with httpx.AsyncClient(timeout=30) as client:
            for _ in range(200):
                abandoned = pipeline.stream(async_events(client, url))
                assert await anext(abandoned) == "0"
                del abandoned
                await asyncio.sleep(0)  # the loop closes what was left
            await asyncio.sleep(0.1)

    asyncio.run(leave())
    gc.collect()
    assert room.snapshot().counters["requests.allowed"] == 400
    assert room.snapshot().gauges["in_flight"] == 0
