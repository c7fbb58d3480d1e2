"""requests through pipelines, against a server that misbehaves."""

import gc
import json
import time
from contextlib import contextmanager

import pytest
import requests

import seawall
from seawall import Bulkhead, Deadline, Fallback, Pipeline, Retry
from seawall.backoff import Constant
from seawall.integrations.requests import NewConnectionError, SeawallAdapter
from tests.support.policies import Watch
from tests.support.slow_server import SlowServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server():
    with SlowServer() as running:
        yield running


@contextmanager
def session(*policies, **options):
    """A session through a pipeline, the watch inside it, and the check that no permit is left."""
    watch, room = Watch(), Bulkhead(10)
    with requests.Session() as made:
        made.mount("http://", SeawallAdapter(Pipeline("p", *policies, watch, room, registry=None), **options))
        yield made, watch
        gc.collect()
        assert room.snapshot().gauges["in_flight"] == 0


def tries(attempts=3, **options):
    return Retry(attempts, backoff=Constant(base=0.001), budget=None, **options)


@pytest.mark.parametrize(
    "status, verdict, sent",
    [
        (200, "SUCCESS", 1),
        (204, "SUCCESS", 1),
        (404, "IGNORED", 1),
        (408, "DROPPED", 2),
        (429, "THROTTLED", 2),
        (500, "FAILURE", 2),
        (503, "DROPPED", 2),
    ],
)
def test_each_status_has_its_verdict_and_the_last_answer_reaches_the_caller(server, status, verdict, sent):
    """R-RT3"""
    with session(tries(2)) as (made, watch):
        answer = made.get(f"{server.url}/status/{status}")
        assert (answer.status_code, answer.text) == (status, "" if status == 204 else "as asked")
        assert [ended.name for ended, _ in watch.ended] == [verdict] * sent


def test_a_failure_that_passes_is_not_seen_by_the_caller(server):
    with session(tries(3)) as (made, watch):
        assert made.get(f"{server.url}/flaky/503/2/{time.monotonic_ns()}").status_code == 200
        assert [ended.name for ended, _ in watch.ended] == ["DROPPED", "DROPPED", "SUCCESS"]


@pytest.mark.parametrize("query", ["retry-after=2", "retry-after-ms=1500"])
def test_a_retry_after_that_does_not_fit_the_deadline_ends_the_call(server, query):
    """R-RT3"""
    with session(Deadline(1.0), tries(3)) as (made, watch):
        assert made.get(f"{server.url}/status/429?{query}").status_code == 429
        assert len(watch.ended) == 1


@pytest.mark.parametrize("method, sent", [("GET", 2), ("PUT", 2), ("POST", 1), ("PATCH", 1)])
def test_methods_that_are_not_idempotent_are_not_repeated_once_sent(server, method, sent):
    """R-RT3"""
    with session(tries(2)) as (made, watch):
        assert made.request(method, server.url + "/status/503", data=b"x").status_code == 503
        assert len(watch.ended) == sent


def test_a_post_with_a_key_is_repeated_with_the_same_key(server):
    """R-RT3"""
    with session(tries(3, idempotent="key")) as (made, _):
        before = len(server.received)
        made.post(server.url + "/status/503", data=b"order")
        sent = server.received[before:]
        assert [one.body for one in sent] == [b"order"] * 3
        assert len({one.headers["idempotency-key"] for one in sent}) == 1


def test_a_refused_connection_is_told_from_a_lost_answer_and_tried_again_even_for_a_post():
    """R-RT3"""
    with session(tries(3)) as (made, watch):
        with pytest.raises(NewConnectionError):
            made.post("http://127.0.0.1:9/", data=b"x")
        assert len(watch.ended) == 3


def test_a_lost_answer_to_a_post_is_not_asked_for_again(server):
    """R-RT3"""
    with session(tries(3)) as (made, watch):
        with pytest.raises(requests.ConnectionError):
            made.post(server.url + "/half-closed", data=b"x")
        assert len(watch.ended) == 1


def test_a_body_that_cannot_be_sent_twice_is_sent_once(server):
    with session(tries(3)) as (made, watch):
        assert made.put(server.url + "/status/503", data=iter([b"a", b"b"])).status_code == 503
        assert len(watch.ended) == 1


def test_answers_that_a_retry_discards_leave_no_connection_behind(server):
    options = {"pool_connections": 1, "pool_maxsize": 1, "pool_block": True}
    with session(Deadline(5.0), tries(3), **options) as (made, _):
        for path, length in (("/status/503", 8), ("/big/503", 300_000), ("/status/500", 8), ("/big/200", 300_000)):
            answer = made.get(server.url + path, timeout=2.0)
            assert (answer.status_code, len(answer.content)) == (int(path[-3:]), length)


def test_only_declared_peers_are_told_the_deadline(server):
    """R-DS4"""
    with session(Deadline(2.0), peers=["127.0.0.1"]) as (made, _):
        told = json.loads(made.get(server.url + "/echo").text)["headers"]
        assert 1500 < int(told["deadline-left-ms"]) <= 2000
    with session(Deadline(2.0)) as (made, _):
        assert "deadline-left-ms" not in json.loads(made.get(server.url + "/echo").text)["headers"]


def test_retries_of_urllib3_are_refused():
    """R-RT4"""
    with pytest.raises(seawall.ConfigurationError, match="max_retries=2"):
        SeawallAdapter(Pipeline("p", registry=None), max_retries=2)


def test_the_permit_is_held_until_a_streamed_answer_is_closed_or_collected(server):
    """R-TM3"""
    room = Bulkhead(5)

    def held():
        return room.snapshot().gauges["in_flight"]

    with requests.Session() as made:
        made.mount("http://", SeawallAdapter(Pipeline("p", room, registry=None)))
        with made.get(server.url + "/big/200", stream=True) as answer:
            assert held() == 1
            assert len(answer.content) == 300_000
            assert held() == 0
        with made.get(server.url + "/big/200", stream=True):
            assert held() == 1
        assert held() == 0
        answer = made.get(server.url + "/big/200", stream=True)
        assert held() == 1
        del answer
        gc.collect()
        assert held() == 0


def test_an_answer_of_a_fallback_takes_the_place_of_a_failed_one(server):
    kept = requests.Response()
    kept.status_code, kept._content = 200, b"kept"
    with session(Fallback(lambda: kept)) as (made, _):
        assert made.get(server.url + "/status/500").text == "kept"
