"""httpx and httpx2 through pipelines, against a server that misbehaves."""

import asyncio
import gc
import json
import time
from contextlib import contextmanager

import httpx
import httpx2
import pytest

import seawall
from seawall import Bulkhead, CircuitBreaker, Deadline, Pipeline, Retry, Timeout
from seawall.backoff import Constant
from seawall.integrations import httpx as for_httpx
from seawall.integrations import httpx2 as for_httpx2
from tests.support.policies import Watch
from tests.support.slow_server import SlowServer

pytestmark = pytest.mark.integration
LIBRARIES = {"httpx": (httpx, for_httpx), "httpx2": (httpx2, for_httpx2)}


@pytest.fixture(scope="module")
def server():
    with SlowServer() as running:
        yield running


@pytest.fixture(params=sorted(LIBRARIES))
def library(request):
    return LIBRARIES[request.param]


@pytest.fixture(params=["sync", "async"])
def get(request, library, server):
    """A function that sends one request in either colour and gives the answer, read."""
    lib, adapter = library

    def send(pipeline, path, method="GET", **options):
        transport = {name: options.pop(name) for name in ("peers", "key") if name in options}
        if request.param == "sync":
            with lib.Client(transport=adapter.SeawallTransport(pipeline, **transport)) as client:
                return client.request(method, server.url + path, **options)

        async def run():
            async with lib.AsyncClient(transport=adapter.AsyncSeawallTransport(pipeline, **transport)) as client:
                return await client.request(method, server.url + path, **options)

        return asyncio.run(run())

    return send


@contextmanager
def guarded(*policies, **options):
    """A pipeline, the watch inside it, and the check that no permit is left."""
    watch, room = Watch(), Bulkhead(10)
    yield Pipeline("dependency", *policies, watch, room, registry=None, **options), watch
    gc.collect()
    assert room.snapshot().gauges["in_flight"] == 0


def tries(attempts=3, **options):
    return Retry(attempts, backoff=Constant(base=0.001), budget=None, **options)


@pytest.mark.parametrize(
    "status, verdict, sent",
    [
        (200, "SUCCESS", 1),
        (204, "SUCCESS", 1),
        (301, "SUCCESS", 1),
        (400, "IGNORED", 1),
        (404, "IGNORED", 1),
        (408, "DROPPED", 2),
        (429, "THROTTLED", 2),
        (500, "FAILURE", 2),
        (502, "FAILURE", 2),
        (503, "DROPPED", 2),
        (504, "FAILURE", 2),
    ],
)
def test_each_status_has_its_verdict_and_the_last_answer_reaches_the_caller(get, server, status, verdict, sent):
    """R-RT3"""
    with guarded(tries(2)) as (pipeline, watch):
        before = len(server.received)
        answer = get(pipeline, f"/status/{status}")
        assert (answer.status_code, answer.text) == (status, "" if status == 204 else "as asked")
        assert [ended.name for ended, _ in watch.ended] == [verdict] * sent
        assert len(server.received) - before == sent


@pytest.mark.parametrize("form", ["2", "1.5", "date", "retry-after-ms"])
def test_a_retry_after_in_every_form_that_does_not_fit_the_deadline_ends_the_call(get, server, form):
    """R-RT3"""
    headers = {
        "date": "retry-after=Thu,%2001%20Jan%202026%2000:00:05%20GMT&date=Thu,%2001%20Jan%202026%2000:00:00%20GMT",
        "retry-after-ms": "retry-after-ms=1500",
    }
    with guarded(Deadline(1.0), tries(3)) as (pipeline, watch):
        answer = get(pipeline, f"/status/429?{headers.get(form, f'retry-after={form}')}")
        assert answer.status_code == 429
        assert len(watch.ended) == 1


def test_a_failure_that_passes_is_not_seen_by_the_caller(get):
    with guarded(tries(3)) as (pipeline, watch):
        assert get(pipeline, f"/flaky/503/2/{time.monotonic_ns()}").status_code == 200
        assert [ended.name for ended, _ in watch.ended] == ["DROPPED", "DROPPED", "SUCCESS"]


@pytest.mark.parametrize("method, sent", [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)])
def test_methods_that_are_not_idempotent_are_not_repeated_once_sent(get, server, method, sent):
    """R-RT3"""
    with guarded(tries(2)) as (pipeline, _):
        before = len(server.received)
        assert get(pipeline, "/status/503", method).status_code == 503
        assert len(server.received) - before == sent


def test_a_post_with_a_key_is_repeated_with_the_same_key(get, server):
    """R-RT3"""
    with guarded(tries(3, idempotent="key")) as (pipeline, _):
        before = len(server.received)
        get(pipeline, "/status/503", "POST", content=b"order")
        sent = server.received[before:]
        assert [one.body for one in sent] == [b"order"] * 3
        assert len({one.headers["idempotency-key"] for one in sent}) == 1


def test_a_post_with_a_key_of_the_users_own_is_repeated_with_it(get, server):
    with guarded(tries(2)) as (pipeline, _):
        before = len(server.received)
        get(pipeline, "/status/503", "POST", headers={"Idempotency-Key": "mine"})
        assert [one.headers["idempotency-key"] for one in server.received[before:]] == ["mine", "mine"]


def test_a_refused_connection_is_tried_again_even_for_a_post(library):
    """R-RT3"""
    lib, adapter = library
    with guarded(tries(3)) as (pipeline, watch), lib.Client(transport=adapter.SeawallTransport(pipeline)) as client:
        with pytest.raises(lib.ConnectError):
            client.post("http://127.0.0.1:9/", content=b"x")
        assert len(watch.ended) == 3


def test_a_body_that_cannot_be_sent_twice_is_sent_once(library, server):
    lib, adapter = library
    with guarded(tries(3)) as (pipeline, _), lib.Client(transport=adapter.SeawallTransport(pipeline)) as client:
        before = len(server.received)
        assert client.put(server.url + "/status/503", content=iter([b"a", b"b"])).status_code == 503
        assert [one.body for one in server.received[before:]] == [b"ab"]


def test_answers_that_a_retry_discards_leave_no_connection_behind(library, server):
    lib, adapter = library
    wrapped = lib.HTTPTransport(limits=lib.Limits(max_connections=1))
    with (
        guarded(tries(3)) as (pipeline, _),
        lib.Client(transport=adapter.SeawallTransport(pipeline, wrapped), timeout=1.0) as client,
    ):
        for path, length in (("/status/503", 8), ("/big/503", 300_000), ("/status/500", 8), ("/big/200", 300_000)):
            answer = client.get(server.url + path)
            assert (answer.status_code, len(answer.content)) == (int(path[-3:]), length)


def test_only_declared_peers_are_told_the_deadline(get, server):
    """R-DS4"""
    with guarded(Deadline(2.0)) as (pipeline, _):
        told = json.loads(get(pipeline, "/echo", peers=["127.0.0.1"]).text)["headers"]
        assert 1500 < int(told["deadline-left-ms"]) <= 2000
        assert "deadline-left-ms" not in json.loads(get(pipeline, "/echo", peers=["127.0.0.2"]).text)["headers"]


def test_each_host_has_its_own_circuit(library, server):
    lib, adapter = library
    breaker = CircuitBreaker(failure_threshold=1, key="host")
    pipeline = Pipeline("hosts", breaker, registry=None)
    with lib.Client(transport=adapter.SeawallTransport(pipeline)) as client:
        client.get(server.url + "/status/500")
        with pytest.raises(seawall.CircuitOpenError):
            client.get(server.url + "/ok")
        assert client.get(f"http://localhost:{server.port}/ok").status_code == 200


def test_retries_of_the_wrapped_transport_are_refused(library):
    """R-RT4"""
    lib, adapter = library
    with pytest.raises(seawall.ConfigurationError, match=r"retries=2"):
        adapter.SeawallTransport(Pipeline("p", registry=None), lib.HTTPTransport(retries=2))


def test_a_retry_that_would_go_on_inside_a_body_is_refused(library):
    pipeline = Pipeline("p", Retry(after_first="restart"), registry=None)
    with pytest.raises(seawall.ConfigurationError, match="after_first"):
        library[1].SeawallTransport(pipeline)


def test_plain_code_under_a_timeout_without_mode_is_refused_when_the_transport_is_made(library):
    """R-TM2"""
    with pytest.raises(seawall.ConfigurationError, match="mode"):
        library[1].SeawallTransport(Pipeline("p", Timeout(1.0), registry=None))


def test_the_permit_is_held_until_a_streamed_answer_is_closed_or_collected(library, server):
    """R-TM3"""
    lib, adapter = library
    room = Bulkhead(5)
    pipeline = Pipeline("p", room, registry=None)
    held = lambda: room.snapshot().gauges["in_flight"]  # noqa: E731
    with lib.Client(transport=adapter.SeawallTransport(pipeline)) as client:
        with client.stream("GET", server.url + "/big/200") as answer:
            assert held() == 1
            answer.read()
            assert held() == 0
        with client.stream("GET", server.url + "/big/200"):
            assert held() == 1
        assert held() == 0
        answer = client.send(client.build_request("GET", server.url + "/big/200"), stream=True)
        assert held() == 1
        del answer
        gc.collect()
        assert held() == 0


def test_an_answer_of_a_fallback_takes_the_place_of_a_failed_one(library, server):
    lib, adapter = library
    pipeline = Pipeline("p", seawall.Fallback(lambda: lib.Response(200, text="kept")), registry=None)
    with lib.Client(transport=adapter.SeawallTransport(pipeline)) as client:
        assert client.get(server.url + "/status/500").text == "kept"


def test_a_rule_of_the_users_own_judges_answers(library, server):

    lib, adapter = library

    def rule(error, value):
        return seawall.Verdict.FAILURE if value is not None and value.status_code == 404 else None

    with guarded(classify=rule) as (pipeline, watch):
        with lib.Client(transport=adapter.SeawallTransport(pipeline)) as client:
            assert client.get(server.url + "/status/404").status_code == 404
        assert [ended.name for ended, _ in watch.ended] == ["FAILURE"]


async def test_cancelled_requests_leave_no_permit_behind_and_with_httpx2_no_connection(library, server):
    """httpcore 1.0 itself loses its places to cancelled requests, without seawall too (encode/httpcore#1093)."""
    lib, adapter = library
    room = Bulkhead(50)
    wrapped = lib.AsyncHTTPTransport(limits=lib.Limits(max_connections=2))
    transport = adapter.AsyncSeawallTransport(Pipeline("p", room, registry=None), wrapped)
    async with lib.AsyncClient(transport=transport, timeout=2.0) as client:
        for delay in (0.0, 0.001, 0.01):
            tasks = [asyncio.ensure_future(client.get(server.url + "/silent")) for _ in range(6)]
            await asyncio.sleep(delay)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert room.snapshot().gauges["in_flight"] == 0
            if lib is httpx2:
                assert (await client.get(server.url + "/ok")).text == "ok"
