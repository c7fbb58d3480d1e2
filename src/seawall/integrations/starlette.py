"""Middleware for ASGI applications: deadlines of callers, refusals as answers, and going away in order.

    app = SeawallMiddleware(app, peers=["10.0.0.0/8"])              # any ASGI application; has `drain`
    app.add_middleware(SeawallMiddleware, peers=["10.0.0.0/8"])     # Starlette, FastAPI; where nothing is to be drained

It is plain ASGI and imports nothing of Starlette; the extra `seawall[starlette]` installs a version it is tested with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import TYPE_CHECKING, Any

from seawall.core.errors import RejectedError
from seawall.integrations._incoming import HEALTH, Answer, Expired, Incoming, refusal, within
from seawall.pipeline.registry import Registry, default_registry

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["SeawallMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class SeawallMiddleware:
    """Wraps an ASGI application.

    * The deadline in the headers `deadline-left-ms`, `grpc-timeout` or `x-envoy-expected-rq-timeout-ms` (the smallest
      counts) becomes the ambient deadline of the request, if the caller is a declared peer.
    * A `RejectedError` that nobody has handled becomes 503, or 429 for a spent rate limit, with a `Retry-After` in
      whole seconds that suffices, and without a word about the inside.
    * After `drain()` new requests get 503 and `Connection: close`, health paths aside; those in flight end normally.

    WebSockets, lifespan and streamed answers pass through; an answer that has begun is left alone.

    Args:
        app: the application.
        peers: addresses and networks ("10.0.0.0/8") whose deadlines count, "unix" for callers over a unix socket;
            nobody by default, because anybody can send a header.
        token: a shared secret of at least 16 characters that makes a caller a peer, in the header `x-seawall-peer`.
        expired: what becomes of a request whose deadline has passed when it comes in: "observe" (default) only counts
            it in `counts["expired"]`; "refuse" answers 503 to at most a fifth of all requests in 10 seconds, since
            some callers send silly deadlines; "strict" to every one.
        health: paths that are served while draining.
        readiness: path that answers 503 from `unready()` or `drain()` on; None (default) leaves it to the application.
        registry: whose retries stop waiting at `drain()`; the default registry, None for none.

    Raises:
        ConfigurationError: if a value is out of its range.

    Source: Finagle's DeadlineFilter; gRPC over HTTP/2; Envoy's router filter.
    """

    def __init__(
        self,
        app: App,
        *,
        peers: Collection[str] = (),
        token: str | None = None,
        expired: Expired = "observe",
        health: Collection[str] = HEALTH,
        readiness: str | None = None,
        registry: Registry | None = default_registry,
    ) -> None:
        self.app = app
        self._rules = Incoming(
            peers=peers,
            token=token,
            expired=expired,
            health=health,
            readiness=readiness,
            drains=None if registry is None else registry.bus.drain,
        )

    @property
    def draining(self) -> bool:
        """True once `drain` was called."""
        return self._rules.draining

    @property
    def in_flight(self) -> int:
        """Requests that are being served."""
        return self._rules.in_flight

    @property
    def counts(self) -> dict[str, int]:
        """How many came with a deadline that had passed ("expired"), were "refused" for it, or were "drained"."""
        return dict(self._rules.counts)

    def unready(self) -> None:
        """Let the readiness path answer 503, and serve on: the first step of going away, before `drain`."""
        self._rules.ready = False

    async def drain(self, timeout: float | None = None) -> bool:
        """Refuse new requests and wait for those in flight.

        Args:
            timeout: seconds, > 0, after which to wait no longer; None waits for as long as it takes.

        Returns:
            True if nothing is in flight any more.
        """
        loop = asyncio.get_running_loop()
        idle = asyncio.Event()
        self._rules.drain(lambda: loop.call_soon_threadsafe(idle.set))
        try:
            async with asyncio.timeout(timeout):
                await idle.wait()
        except TimeoutError:
            return False
        return True

    def resume(self) -> None:
        """Serve again after a `drain` that came to nothing."""
        self._rules.resume()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        client = scope.get("client")
        try:
            left = self._rules.admit(scope["path"], client[0] if client else None, headers.get)
        except Answer as answer:
            await _send(answer, send)
            return
        try:
            await self._serve(scope, receive, send, within(left))
        finally:
            self._rules.leave()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, bound: AbstractContextManager[None]) -> None:
        """Serve one request within its deadline."""
        begun = False
        held: list[Message] = []  # a bare 500: Starlette sends one before it raises what nobody has handled

        async def watch(message: Message) -> None:
            nonlocal begun
            if not begun and (message.get("status") == 500 or (held and not message.get("more_body"))):
                held.append(message)
                return
            begun = True
            await _flush(held, send)
            await send(message)

        try:
            with bound:
                await self.app(scope, receive, watch)
        except RejectedError as error:
            if begun:
                raise
            await _send(refusal(error), send)
            return
        except BaseException:
            await _flush(held, send)
            raise
        await _flush(held, send)


async def _flush(held: list[Message], send: Send) -> None:
    """Send what was held back."""
    while held:
        await send(held.pop(0))


async def _send(answer: Answer, send: Send) -> None:
    """Answer in place of the application."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
