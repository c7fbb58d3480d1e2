"""Connections that are reset or half closed: an error at once, never a wait until the deadline, and never silence."""

import asyncio
import time

import httpx
import httpx2
import pytest
import requests

import seawall.integrations.httpx as for_httpx
import seawall.integrations.httpx2 as for_httpx2
from seawall import Bulkhead, CircuitBreaker, Deadline, Pipeline
from seawall.integrations.requests import SeawallAdapter
from tests.support.slow_server import SlowServer

pytestmark = [pytest.mark.integration, pytest.mark.alone]
PATHS = ["/reset", "/reset-body", "/half-closed"]


@pytest.fixture(scope="module")
def server():
    with SlowServer() as running:
        yield running


def sync_client(lib, adapter):
    def get(pipeline, url):
        with lib.Client(transport=adapter.SeawallTransport(pipeline), timeout=30.0) as client:
            client.get(url)

    return get


def async_client(lib, adapter):
    def get(pipeline, url):
        async def run():
            async with lib.AsyncClient(transport=adapter.AsyncSeawallTransport(pipeline), timeout=30.0) as client:
                await client.get(url)

        asyncio.run(run())

    return get


def with_requests(pipeline, url):
    with requests.Session() as session:
        session.mount("http://", SeawallAdapter(pipeline))
        session.get(url, timeout=30.0)


CLIENTS = {
    "httpx": sync_client(httpx, for_httpx),
    "httpx async": async_client(httpx, for_httpx),
    "httpx2": sync_client(httpx2, for_httpx2),
    "httpx2 async": async_client(httpx2, for_httpx2),
    "requests": with_requests,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_broken_connection_is_a_failure_at_once(server, client, path):
    """R-TM1, R-CB5: it does not wait for the deadline of five seconds, it counts, and it holds nothing."""
    breaker, room = CircuitBreaker(1), Bulkhead(1)
    pipeline = Pipeline("p", Deadline(5.0), breaker, room, registry=None)
    began = time.monotonic()
    with pytest.raises(Exception) as caught:
        CLIENTS[client](pipeline, server.url + path)
    assert time.monotonic() - began < 1.0
    assert not isinstance(caught.value, TimeoutError)
    assert breaker.state == "open"
    assert room.snapshot().gauges["in_flight"] == 0
