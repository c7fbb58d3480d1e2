"""How punctually calls to servers that hang, or drip, end at their deadline, in real time."""

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from functools import partial

import httpx
import httpx2
import pytest
import requests

import seawall
from seawall import Bulkhead, Deadline, Pipeline, RejectedError, TimedOutError, Timeout
from seawall.integrations import httpx as for_httpx
from seawall.integrations import httpx2 as for_httpx2
from seawall.integrations.requests import SeawallAdapter
from tests.support.slow_server import SlowServer

pytestmark = [pytest.mark.integration, pytest.mark.alone]
LIMIT = 0.5
SLACK = 0.1
HANGS = ["/silent", "/drip-headers", "/drip-body"]


@pytest.fixture(scope="module")
def server():
    with SlowServer() as running:
        yield running


def timed(scope, send):
    """Seconds that `send` took until it raised, and the error; making the client is not part of it."""
    began = time.monotonic()
    try:
        with scope():
            send()
    except seawall.OutcomeUnknownError as error:
        return time.monotonic() - began, error
    pytest.fail("it came back")


def sync_httpx(lib, adapter):
    def get(pipeline, url, scope):
        with lib.Client(transport=adapter.SeawallTransport(pipeline), timeout=30.0) as client:
            return timed(scope, lambda: client.get(url))

    return get


def async_httpx(lib, adapter):
    def get(pipeline, url, scope):
        async def run():
            async with lib.AsyncClient(transport=adapter.AsyncSeawallTransport(pipeline), timeout=30.0) as client:
                began = time.monotonic()
                try:
                    with scope():
                        await client.get(url)
                except seawall.OutcomeUnknownError as error:
                    return time.monotonic() - began, error
            pytest.fail("it came back")

        return asyncio.run(run())

    return get


def with_requests(pipeline, url, scope):
    with requests.Session() as session:
        session.mount("http://", SeawallAdapter(pipeline))
        return timed(scope, lambda: session.get(url, timeout=30.0))


CLIENTS = {
    "httpx": sync_httpx(httpx, for_httpx),
    "httpx async": async_httpx(httpx, for_httpx),
    "httpx2": sync_httpx(httpx2, for_httpx2),
    "httpx2 async": async_httpx(httpx2, for_httpx2),
    "requests": with_requests,
}


@pytest.mark.parametrize("path", HANGS)
@pytest.mark.parametrize("bound", ["timeout", "deadline", "ambient"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_call_through_an_adapter_ends_at_its_limit(server, client, bound, path, record_property):
    """R-TM1, R-TM2: within 0.1 s, however the answer drips in."""
    room = Bulkhead(1)
    policies = {"timeout": [room, Timeout(LIMIT, mode="cooperative")], "deadline": [Deadline(LIMIT), room]}
    pipeline = Pipeline("p", *policies.get(bound, [room]), registry=None)
    scope = partial(seawall.deadline, LIMIT) if bound == "ambient" else nullcontext
    took, error = CLIENTS[client](pipeline, server.url + path, scope)
    record_property("late_by_s", took - LIMIT)
    assert LIMIT - 0.02 <= took <= LIMIT + SLACK
    assert isinstance(error, TimeoutError)
    assert room.snapshot().gauges["in_flight"] == 0


@pytest.mark.parametrize("path", HANGS)
def test_a_call_in_a_thread_is_left_behind_at_its_limit(server, path):
    """R-TM2: a client that knows nothing of seawall."""
    pipeline = Pipeline("p", Timeout(LIMIT, mode="thread"), registry=None)
    with httpx.Client(timeout=2.0) as client:
        began = time.monotonic()
        with pytest.raises(TimedOutError):
            pipeline.call(client.get, server.url + path)
        assert LIMIT - 0.02 <= time.monotonic() - began <= LIMIT + SLACK


def test_plain_cooperative_code_ends_at_its_first_return():
    """R-TM2: what does not look at the time is told of it when it comes back."""
    pipeline = Pipeline("p", Timeout(0.2, mode="cooperative"), registry=None)

    def stubborn():
        time.sleep(0.4)
        raise OSError("late")

    began = time.monotonic()
    with pytest.raises(TimedOutError):
        pipeline.call(stubborn)
    assert 0.4 <= time.monotonic() - began <= 0.4 + SLACK


def test_of_a_hundred_hung_calls_ten_have_a_thread_and_ninety_are_refused_at_once(server, record_property):
    """R-TM2"""
    pipeline = Pipeline("hundred", Timeout(LIMIT, mode="thread", max_threads=10), registry=None)
    ends = []

    def call():
        began = time.monotonic()
        try:
            pipeline.call(requests.get, server.url + "/silent", timeout=3.0)
        except Exception as error:
            ends.append((type(error), time.monotonic() - began))

    def workers():
        return sum(thread.name == "seawall-hundred" for thread in threading.enumerate())

    callers = [threading.Thread(target=call) for _ in range(100)]
    most = 0
    for caller in callers:
        caller.start()
        most = max(most, workers())
    for caller in callers:
        caller.join()
    refused = [took for kind, took in ends if issubclass(kind, RejectedError)]
    late = [took for kind, took in ends if issubclass(kind, TimedOutError)]
    record_property("slowest_refusal_s", max(refused))
    assert (len(refused), len(late)) == (90, 10)
    assert most <= 10
    assert max(refused) < 0.1
    assert max(late) <= LIMIT + SLACK
    assert workers() == 10  # left behind, counted, and not more


EXIT = """
import socket, sys, threading
from seawall import Pipeline, Timeout, SeawallError
pipeline = Pipeline("p", Timeout(0.2, mode="thread", max_threads=10))
def hang():
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).recv(1)
def call():
    try:
        pipeline.call(hang)
    except SeawallError:
        pass
callers = [threading.Thread(target=call) for _ in range(20)]
for one in callers: one.start()
for one in callers: one.join()
print(sum(one.name == "seawall-p" for one in threading.enumerate()), flush=True)
"""


def test_the_interpreter_exits_promptly_while_calls_hang(server, record_property):
    """R-TM2"""
    process = subprocess.Popen(
        [sys.executable, "-c", EXIT, str(server.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "10\n"
    began = time.monotonic()
    _, errors = process.communicate(timeout=10)
    record_property("exit_s", time.monotonic() - began)
    assert (process.returncode, errors) == (0, "")
    assert time.monotonic() - began < 1.0
