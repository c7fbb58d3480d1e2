"""The ASGI middleware under uvicorn and the WSGI middleware under wsgiref: the same rules."""

import asyncio
import json
import threading
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import seawall
from seawall import CircuitOpenError, RateLimitedError, RejectedError
from seawall.integrations import starlette as for_asgi
from seawall.integrations import wsgi as for_wsgi
from tests.support.web import asgi, wsgi

pytestmark = pytest.mark.integration
NOBODY: Any = None  # for what is not called
ERRORS = {
    "open": CircuitOpenError("circuit to db.internal is open", retry_after=1.2),
    "limited": RateLimitedError("tenant ann", retry_after=0.0),
    "negative": RejectedError("x", retry_after=-5.0),
    "unknown": RejectedError("x"),
    "forever": RejectedError("x", retry_after=float("inf")),
}


class Doors:
    """What lets a test hold requests up."""

    def __init__(self):
        self.entered = threading.Event()
        self.go = threading.Event()


def asgi_app(doors):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        word = scope["path"].strip("/")
        if word in ERRORS:
            raise ERRORS[word]
        if word == "hold":
            doors.entered.set()
            while not doors.go.is_set():  # noqa: ASYNC110  # the test is in another thread
                await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if word == "late":
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            raise ERRORS["open"]
        if word == "stream":
            for _ in range(3):
                await send({"type": "http.response.body", "body": b"piece ", "more_body": True})
        await send({"type": "http.response.body", "body": json.dumps(seawall.remaining()).encode()})

    return app


def wsgi_app(doors):
    def app(environ, start_response):
        word = environ["PATH_INFO"].strip("/")
        if word in ERRORS:
            raise ERRORS[word]
        if word == "hold":
            doors.entered.set()
            doors.go.wait(10)
        start_response("200 OK", [])
        if word == "stream":
            yield from [b"piece "] * 3
        yield json.dumps(seawall.remaining()).encode()

    return app


class Site:
    """A running application behind a middleware."""

    def __init__(self, url, middleware, doors, drain):
        self.url, self.middleware, self.doors, self.drain = url, middleware, doors, drain

    def get(self, path, **headers):
        return httpx.get(self.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture(params=["asgi", "wsgi"])
def site(request):
    """A function that starts the application behind a middleware with options."""
    with ExitStack() as stack:

        def start(**options):
            doors = Doors()
            if request.param == "asgi":
                middleware = for_asgi.SeawallMiddleware(asgi_app(doors), registry=None, **options)
                running = stack.enter_context(asgi(middleware))

                def drain(timeout=None):
                    return asyncio.run_coroutine_threadsafe(middleware.drain(timeout), running.loop).result(10)

                return Site(running.url, middleware, doors, drain)
            plain = for_wsgi.SeawallMiddleware(wsgi_app(doors), registry=None, **options)
            return Site(stack.enter_context(wsgi(plain)), plain, doors, plain.drain)

        yield start


@pytest.mark.parametrize(
    "path, status, after",
    [("open", 503, "2"), ("limited", 429, "1"), ("negative", 503, "1"), ("unknown", 503, "1"), ("forever", 503, "1")],
)
def test_a_refusal_of_ours_becomes_an_answer_that_says_when_to_come_back_and_nothing_else(site, path, status, after):
    """R-RT3: rounded up, never negative; no name of the inside."""
    answer = site().get(f"/{path}")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, after)
    assert answer.text == {429: "Too Many Requests\n", 503: "Service Unavailable\n"}[status]


@pytest.mark.parametrize(
    "header, value, left",
    [
        ("deadline_left_ms", "1500", 1.5),
        ("grpc_timeout", "2S", 2.0),
        ("grpc_timeout", "250m", 0.25),
        ("grpc_timeout", "3M", 180.0),
        ("x_envoy_expected_rq_timeout_ms", "700", 0.7),
        ("x_envoy_expected_rq_timeout_ms", "0", None),
        ("deadline_left_ms", "-5", None),
        ("deadline_left_ms", "nan", None),
        ("deadline_left_ms", "soon", None),
        ("grpc_timeout", "2", None),
        ("grpc_timeout", "123456789S", None),
    ],
)
def test_the_deadline_of_a_declared_peer_is_the_ambient_one_of_the_request(site, header, value, left):
    """R-DS4"""
    told = site(peers=["127.0.0.0/8"]).get("/", **{header: value}).json()
    assert told is None if left is None else left - 0.2 < told <= left


def test_the_smallest_of_several_deadlines_counts(site):
    """R-DS4"""
    assert site(peers=["127.0.0.1"]).get("/", deadline_left_ms="900", grpc_timeout="300m").json() <= 0.3


@pytest.mark.parametrize("options", [{}, {"peers": ["10.0.0.0/8"]}, {"peers": ["unix"]}, {"token": "s" * 16}])
def test_the_deadline_of_anybody_else_is_not_heeded(site, options):
    """R-DS4"""
    assert site(**options).get("/", deadline_left_ms="900", x_seawall_peer="guess").json() is None


def test_a_token_makes_a_caller_a_peer(site):
    """R-DS4"""
    assert site(token="s" * 16).get("/", deadline_left_ms="900", x_seawall_peer="s" * 16).json() <= 0.9


def comes_to_rest(middleware):
    """True once nothing is in flight: a client has its answer a little before the server is done with it."""
    end = time.monotonic() + 5
    while middleware.in_flight and time.monotonic() < end:
        time.sleep(0.01)
    return middleware.in_flight == 0


@pytest.mark.parametrize("expired, refused", [("observe", 0), ("refuse", 2), ("strict", 10)])
def test_expired_work_is_counted_and_refused_as_far_as_it_was_said(site, expired, refused):
    """R-DS4: a fifth of ten requests, unless strict."""
    running = site(peers=["127.0.0.1"], expired=expired)
    codes = [running.get("/", deadline_left_ms="0").status_code for _ in range(10)]
    assert codes.count(503) == refused
    assert running.middleware.counts["expired"] == 10
    assert comes_to_rest(running.middleware)


def test_expired_work_that_is_only_observed_runs_without_a_deadline(site):
    assert site(peers=["127.0.0.1"]).get("/", deadline_left_ms="0").json() is None


def test_a_streamed_answer_passes_through(site):
    assert site().get("/stream").text == "piece piece piece null"


def test_draining_refuses_what_is_new_and_waits_for_what_is_in_flight(site):
    """R-HC4"""
    running = site(readiness="/readyz")
    held: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: held.append(running.get("/hold")))
    caller.start()
    assert running.doors.entered.wait(5)
    assert running.get("/readyz").status_code == 200
    running.middleware.unready()
    assert running.get("/readyz").status_code == 503  # readiness falls first
    assert running.get("/").status_code == 200
    began = time.monotonic()
    assert running.drain(0.2) is False
    assert 0.2 <= time.monotonic() - began < 1.0
    refused = running.get("/")
    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    assert running.get("/livez").status_code == 200
    threading.Timer(0.2, running.doors.go.set).start()
    assert running.drain(5.0) is True
    caller.join(5)
    assert held[0].status_code == 200
    running.middleware.resume()
    assert running.get("/").status_code == 200


def test_draining_closes_kept_connections():
    """R-HC4: uvicorn honours the header; WSGI leaves it to the server."""
    middleware = for_asgi.SeawallMiddleware(asgi_app(Doors()), registry=None)
    with asgi(middleware) as running, httpx.Client() as client:
        assert client.get(running.url).status_code == 200
        asyncio.run_coroutine_threadsafe(middleware.drain(), running.loop).result(5)
        assert client.get(running.url).headers["connection"] == "close"


def test_draining_ends_the_pauses_of_retries():
    """R-RT5"""
    registry = seawall.Registry()
    middleware = for_wsgi.SeawallMiddleware(wsgi_app(Doors()), registry=registry)
    assert middleware.drain(1.0) is True
    assert registry.bus.drain.draining


def test_an_answer_that_has_begun_is_left_alone():
    """Nothing of ours may be mixed into it."""
    middleware = for_asgi.SeawallMiddleware(asgi_app(Doors()), registry=None)
    with asgi(middleware) as running, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(running.url + "/late")
    assert comes_to_rest(middleware)


def test_a_client_that_goes_away_leaves_nothing():
    """Whatever the server does about it."""
    doors = Doors()
    middleware = for_asgi.SeawallMiddleware(asgi_app(doors), registry=None)
    with asgi(middleware) as running:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(running.url + "/hold", timeout=0.2)
        doors.go.set()
        assert comes_to_rest(middleware)


def test_a_cancelled_request_leaves_nothing():
    middleware = for_asgi.SeawallMiddleware(asgi_app(Doors()), registry=None)
    scope: dict[str, Any] = {"type": "http", "path": "/hold", "headers": [], "client": None}

    async def run():
        task = asyncio.ensure_future(middleware(scope, NOBODY, NOBODY))
        await asyncio.sleep(0.05)
        assert middleware.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert middleware.in_flight == 0


def test_websockets_pass_through_even_while_draining():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    middleware = for_asgi.SeawallMiddleware(app, registry=None)

    async def run():
        await middleware.drain()
        await middleware({"type": "websocket"}, NOBODY, NOBODY)

    asyncio.run(run())
    assert seen == ["websocket"]


@pytest.mark.parametrize(
    "options", [{"peers": ["nowhere"]}, {"peers": "10.0.0.1"}, {"token": "short"}, {"expired": "x"}]
)
def test_options_that_cannot_work_are_refused(options):
    for middleware in (for_asgi.SeawallMiddleware, for_wsgi.SeawallMiddleware):
        with pytest.raises(seawall.ConfigurationError):
            middleware(NOBODY, **options)


@pytest.mark.parametrize("where", ["inside", "outside"])
@pytest.mark.parametrize("path, status", [("/", 200), ("/open", 503), ("/limited", 429), ("/bug", 500)])
def test_starlette_may_have_it_inside_or_outside(where, path, status):
    """Outside, Starlette's own 500 for what nobody has handled must not come first."""

    async def endpoint(request):
        word = request.url.path.strip("/")
        if word == "bug":
            raise ValueError("a bug")
        if word:
            raise ERRORS[word]
        return PlainTextResponse("fine")

    app: Any = Starlette(routes=[Route("/{rest:path}", endpoint)])
    if where == "inside":
        app.add_middleware(for_asgi.SeawallMiddleware, registry=None)
    else:
        app = for_asgi.SeawallMiddleware(app, registry=None)
    with asgi(app) as running:
        answer = httpx.get(running.url + path)
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status in {429, 503})
