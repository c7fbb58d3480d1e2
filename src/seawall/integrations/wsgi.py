"""Middleware for WSGI applications: deadlines of callers, refusals as answers, and going away in order.

    application = SeawallMiddleware(application, peers=["10.0.0.0/8"])

Needs no extra.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Self

from seawall.core.clock import current_clock
from seawall.core.errors import RejectedError
from seawall.integrations._incoming import HEALTH, Answer, Expired, Incoming, refusal, within
from seawall.pipeline.registry import Registry, default_registry

__all__ = ["SeawallMiddleware"]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class SeawallMiddleware:
    """Wraps a WSGI application, for any number of threads; the rules are those of the ASGI middleware.

    Args:
        app: the application.
        peers: addresses and networks ("10.0.0.0/8") whose deadlines count, "unix" for callers without an address;
            nobody by default. The address is `REMOTE_ADDR`, which behind a proxy is the proxy's.
        token: a shared secret of at least 16 characters that makes a caller a peer, in the header `x-seawall-peer`.
        expired: "observe" (default), "refuse" (a fifth of all requests in 10 seconds at most) or "strict".
        health: paths that are served while draining.
        readiness: path that answers 503 from `unready()` or `drain()` on; None (default) leaves it to the application.
        registry: whose retries stop waiting at `drain()`; the default registry, None for none.

    Raises:
        ConfigurationError: if a value is out of its range.
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
        self._clock = current_clock()
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
        """Requests whose answer is not yet sent to its end."""
        return self._rules.in_flight

    @property
    def counts(self) -> dict[str, int]:
        """How many came with a deadline that had passed ("expired"), were "refused" for it, or were "drained"."""
        return dict(self._rules.counts)

    def unready(self) -> None:
        """Let the readiness path answer 503, and serve on: the first step of going away, before `drain`."""
        self._rules.ready = False

    def drain(self, timeout: float | None = None) -> bool:
        """Refuse new requests and wait for those in flight; not to be called from one of them.

        Args:
            timeout: seconds, > 0, after which to wait no longer; None waits for as long as it takes.

        Returns:
            True if nothing is in flight any more.
        """
        idle = threading.Event()
        self._rules.drain(idle.set)
        return self._clock.wait(idle, None if timeout is None else self._clock.now() + timeout)

    def resume(self) -> None:
        """Serve again after a `drain` that came to nothing."""
        self._rules.resume()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""

        def header(name: str) -> str | None:
            value: str | None = environ.get("HTTP_" + name.upper().replace("-", "_"))
            return value

        try:
            left = self._rules.admit(environ.get("PATH_INFO", ""), environ.get("REMOTE_ADDR") or None, header)
        except Answer as answer:
            return _answer(answer, start_response, None)
        return _Body(self, environ, start_response, left)


class _Body:
    """The chunks of an answer; the request is in flight until it is closed.

    The deadline holds while the application is called and while its chunks, which may be a generator's, are made.
    """

    def __init__(
        self, owner: SeawallMiddleware, environ: Environ, start_response: StartResponse, left: float | None
    ) -> None:
        self._owner = owner
        self._left = left
        self._until = None if left is None else owner._clock.now() + left
        self._start = start_response
        self._sent = False
        self._chunks: Iterator[bytes] | None = None
        self._made: Any = None
        self._open = True
        try:
            with within(self._left):
                self._made = owner.app(environ, start_response)
                self._chunks = iter(self._made)
        except RejectedError as error:
            self._chunks = iter(_answer(refusal(error), start_response, sys.exc_info()))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        assert self._chunks is not None
        try:
            with within(None if self._until is None else max(1e-6, self._until - self._owner._clock.now())):
                chunk = next(self._chunks)
        except RejectedError as error:
            if self._sent:
                raise
            self._chunks = iter(_answer(refusal(error), self._start, sys.exc_info()))
            chunk = next(self._chunks)
        self._sent = self._sent or bool(chunk)
        return chunk

    def close(self) -> None:
        """The answer has been sent, or the client is gone; called by the server."""
        if not self._open:
            return
        self._open = False
        try:
            close = getattr(self._made, "close", None)
            if close is not None:
                close()
        finally:
            self._owner._rules.leave()

    def __del__(self) -> None:
        if getattr(self, "_open", False):  # a server that forgets to close
            self.close()


def _answer(answer: Answer, start_response: StartResponse, failed: Any) -> list[bytes]:
    """Answer in place of the application."""
    headers = [(name, value) for name, value in answer.headers if name != "connection"]  # PEP 3333: the server's own
    if failed is None:
        start_response(f"{answer.status} {answer.phrase}", headers)
    else:
        start_response(f"{answer.status} {answer.phrase}", headers, failed)
    return [answer.body]
