"""The exchange of one request and answer, for httpx and httpx2, which differ in their names only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Hashable, Iterator
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError
from seawall.integrations._common import clamped, time_is_up, warn
from seawall.integrations._sockets import ClampedBackend
from seawall.integrations.http import (
    KEY_HEADER,
    SMALL_ANSWER_BYTES,
    HttpRules,
    UnwantedAnswer,
    authority_of,
    hand_over,
)

if TYPE_CHECKING:
    from seawall.pipeline.calling import Bound
    from seawall.pipeline.compose import Pipeline

Key = str | Callable[[Any], Hashable] | None


class Exchanges:
    """What both colours share.

    Args:
        lib: the module `httpx` or `httpx2`.
        pipeline: what requests go through.
        wrapped: the transport that sends.
        key: see `HttpRules`.
        peers: see `HttpRules`.
    """

    def __init__(self, lib: Any, pipeline: Pipeline, wrapped: Any, key: Key, peers: Collection[str]) -> None:
        self.lib = lib
        self.rules = HttpRules(pipeline, key=key, peers=peers)
        self.wrapped = wrapped
        pool = getattr(wrapped, "_pool", None)
        retries = getattr(pool, "_retries", 0)
        if retries:
            raise ConfigurationError(
                f"{type(wrapped).__name__}(retries={retries}): retries inside the pipeline's multiply and are not "
                "seen by its budget; leave retries at 0 and use Retry in the pipeline"
            )

    def calls(self, request: Any) -> Bound:
        """The pipeline for one request."""
        replayable = isinstance(request.stream, self.lib.ByteStream)
        keyed = KEY_HEADER in request.headers
        return self.rules.calls(request.method, _authority(request), request, keyed=keyed, replayable=replayable)

    def attempt(self, request: Any) -> Any:
        """A copy of the request for one attempt, with its headers, and timeouts cut to what remains."""
        self.rules.check_time(f"{request.method} {request.url.host}")
        headers = request.headers.copy()
        headers.update(self.rules.headers(request.method, request.url.host, _authority(request), headers))
        given = request.extensions.get("timeout") or {}
        limits = {name: clamped(given.get(name)) for name in ("connect", "read", "write", "pool")}
        extensions = {**request.extensions, "timeout": limits}
        return self.lib.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=extensions
        )

    def late(self, request: Any) -> BaseException:
        """The error for a request that the deadline cut short."""
        return self.rules.timed_out(f"{request.method} {request.url.host}")

    def answer(self, raw: Any, stream: Any) -> Any:
        """The answer as the caller gets it."""
        return self.lib.Response(raw.status_code, headers=raw.headers, stream=stream, extensions=raw.extensions)


class SyncExchanges(Exchanges):
    """Requests of plain code."""

    def __init__(self, lib: Any, pipeline: Pipeline, wrapped: Any, key: Key, peers: Collection[str]) -> None:
        super().__init__(lib, pipeline, wrapped, key, peers)
        pipeline._check_sync()
        self.body: Any = type("Body", (_Body, lib.SyncByteStream), {})
        self.rest: Any = type("Rest", (_Rest, lib.SyncByteStream), {})
        pool = getattr(wrapped, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if backend is not None:
            # NB: no public way leads there for a transport that exists; without it a drip within headers has no end
            pool._network_backend = ClampedBackend(backend)  # type: ignore[union-attr]
        elif pool is not None:
            warn(f"{type(wrapped).__name__}: its sockets cannot be reached; headers that drip in may pass the deadline")

    def send(self, request: Any) -> Any:
        """One request through the pipeline."""
        exchange = _Exchange(self, request)
        stream = self.calls(request)._stream(exchange.run, (), {})
        try:
            first = next(stream)
        except UnwantedAnswer as unwanted:
            return unwanted.response
        except StopIteration:
            raise ConfigurationError(f'"{self.rules.pipeline.name}": a fallback gave no response') from None
        if first is not exchange.head:
            return _only(stream, first)  # a fallback's
        hand_over(stream, first)
        return self.answer(first, self.body(stream))


class _Exchange:
    """The attempts of one request."""

    def __init__(self, owner: SyncExchanges, request: Any) -> None:
        self._owner = owner
        self._request = request
        self._open: Any = None  # a failed answer too large to be read at once
        self.head: Any = None

    def run(self) -> Generator[Any, None, None]:
        """The answer, and then the chunks of its body."""
        owner, request = self._owner, self._request
        if self._open is not None:
            self._open.close()
            self._open = None
        attempt = owner.attempt(request)
        try:
            response = owner.wrapped.handle_request(attempt)
        except owner.lib.TimeoutException as error:
            if time_is_up():
                raise owner.late(request) from error
            raise
        kept = False
        try:
            unwanted = owner.rules.unwanted(response)
            if unwanted is not None:
                kept = self._keep(response)
                raise unwanted
            self.head = response
            yield response
            yield from self._body(response)
        finally:
            if not kept:
                response.close()

    def _body(self, response: Any) -> Iterator[bytes]:
        """The chunks, as long as there is time."""
        owner = self._owner
        try:
            for chunk in response.stream:
                yield chunk
                if time_is_up():
                    raise owner.late(self._request)
        except owner.lib.TimeoutException as error:
            if time_is_up():
                raise owner.late(self._request) from error
            raise

    def _keep(self, response: Any) -> bool:
        """Read a small failed answer, which frees its connection; True if it is too large and stays open."""
        chunks: list[bytes] = []
        size = 0
        rest = iter(response.stream)
        for chunk in rest:
            chunks.append(chunk)
            size += len(chunk)
            if size > SMALL_ANSWER_BYTES:
                response.stream = self._owner.rest(chunks, rest, response.stream)
                self._open = response
                return True
        response.close()
        response.stream = self._owner.lib.ByteStream(b"".join(chunks))
        response.is_closed = False  # it has a body again, which its reader closes
        return True


class _Body:
    """The body of an answer: its permit goes when it is exhausted, closed or collected."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return self._stream  # type: ignore[no-any-return]

    def close(self) -> None:
        """Give everything back."""
        self._stream.close()


class _Rest:
    """A body of which a part has been read."""

    def __init__(self, chunks: list[bytes], rest: Iterator[bytes], stream: Any) -> None:
        self._chunks = chunks
        self._rest = rest
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        yield from self._rest

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def _only(stream: Any, first: Any) -> Any:
    """The only item of a stream that a fallback gave."""
    for _ in stream:
        pass
    return first


def _authority(request: Any) -> str:
    """Host and port of a request."""
    return authority_of(request.url.scheme, request.url.host, request.url.port)
