"""Protects every request of an httpx client: transports that send through a pipeline.

    client = httpx.Client(transport=SeawallTransport(pipeline))

Needs the extra `seawall[httpx]`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import TYPE_CHECKING

from seawall.integrations._common import missing
from seawall.integrations._httpx_like import SyncExchanges
from seawall.integrations._httpx_like_aio import AsyncExchanges

try:
    import httpx
except ImportError as error:
    raise missing("httpx", error) from error

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline

__all__ = ["AsyncSeawallTransport", "SeawallTransport"]


class SeawallTransport(httpx.BaseTransport):
    """Sends every request of an `httpx.Client` through a pipeline.

    Answers count as failures when their status is 5xx or 408 (503 and 408 as overload), as throttled when it is 429
    (with its Retry-After), and as neutral for every other 4xx; `classify` of the pipeline has the first word. What the
    retry gives up is handed to the caller as the answer it is, not as an exception. GET, HEAD, OPTIONS, PUT, DELETE and
    TRACE are repeated; others only if nothing was sent, or with an `Idempotency-Key`: the request's own, or the
    one `Retry(idempotent="key")` makes, the same in all attempts. A body from an iterator is never sent twice.

    Every wait for a socket ends with the deadline, however slowly the answer drips in (connecting to a host of several
    addresses, and a TLS handshake, may pass it by one wait each). The permit of a streamed answer is held until it is
    exhausted, closed or collected; `Timeout(idle=)` bounds the silence between its chunks. Plain code needs
    `Timeout(…, mode=…)`.

    Args:
        pipeline: what requests go through.
        wrapped: the transport that sends; a new `httpx.HTTPTransport()` by default. Its own `retries` must be 0.
        key: for policies that keep a state for each key: "host" (default) is host and port, a function takes the
            request, None leaves it to the policies.
        peers: hosts, with a port if it is not the usual one, that are told in the header `deadline-left-ms` how long
            the caller still waits; nobody by default.

    Raises:
        ConfigurationError: if the wrapped transport retries by itself, or the pipeline cannot act on requests.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        wrapped: httpx.BaseTransport | None = None,
        *,
        key: str | Callable[[httpx.Request], Hashable] | None = "host",
        peers: Collection[str] = (),
    ) -> None:
        self._wrapped = httpx.HTTPTransport() if wrapped is None else wrapped
        self._exchanges = SyncExchanges(httpx, pipeline, self._wrapped, key, peers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; called by the client.

        Raises:
            RejectedError: it was refused and never sent.
            TimedOutError: it was cut short by a limit of the pipeline or the deadline, and may have been executed.
            httpx.TransportError: what the wrapped transport raised last.
        """
        response: httpx.Response = self._exchanges.send(request)
        return response

    def close(self) -> None:
        """Close the wrapped transport."""
        self._wrapped.close()


class AsyncSeawallTransport(httpx.AsyncBaseTransport):
    """Sends every request of an `httpx.AsyncClient` through a pipeline; see `SeawallTransport`.

    A request that is cut short is cancelled inside, and its connection is closed.

    Args:
        pipeline: what requests go through.
        wrapped: the transport that sends; a new `httpx.AsyncHTTPTransport()` by default.
        key: see `SeawallTransport`.
        peers: see `SeawallTransport`.

    Raises:
        ConfigurationError: if the wrapped transport retries by itself, or the pipeline cannot act on requests.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        wrapped: httpx.AsyncBaseTransport | None = None,
        *,
        key: str | Callable[[httpx.Request], Hashable] | None = "host",
        peers: Collection[str] = (),
    ) -> None:
        self._wrapped = httpx.AsyncHTTPTransport() if wrapped is None else wrapped
        self._exchanges = AsyncExchanges(httpx, pipeline, self._wrapped, key, peers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; see `SeawallTransport.handle_request`."""
        response: httpx.Response = await self._exchanges.send(request)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._wrapped.aclose()
