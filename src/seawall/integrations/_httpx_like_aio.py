"""The exchange of one request and answer in coroutines, for httpx and httpx2; see `_httpx_like`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import TYPE_CHECKING, Any

from seawall.core.context import remaining
from seawall.core.errors import ConfigurationError
from seawall.integrations._common import time_is_up
from seawall.integrations._httpx_like import Exchanges, Key
from seawall.integrations.http import SMALL_ANSWER_BYTES, UnwantedAnswer, hand_over

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline


class AsyncExchanges(Exchanges):
    """Requests of coroutines."""

    def __init__(self, lib: Any, pipeline: Pipeline, wrapped: Any, key: Key, peers: Collection[str]) -> None:
        super().__init__(lib, pipeline, wrapped, key, peers)
        self.body: Any = type("Body", (_Body, lib.AsyncByteStream), {})
        self.rest: Any = type("Rest", (_Rest, lib.AsyncByteStream), {})

    async def send(self, request: Any) -> Any:
        """One request through the pipeline."""
        exchange = _Exchange(self, request)
        stream = self.calls(request).astream(exchange.run)
        try:
            first = await anext(stream)
        except UnwantedAnswer as unwanted:
            return unwanted.response
        except StopAsyncIteration:
            raise ConfigurationError(f'"{self.rules.pipeline.name}": a fallback gave no response') from None
        if first is not exchange.head:
            async for _ in stream:  # a fallback's: the only one
                pass
            return first
        hand_over(stream, first)
        return self.answer(first, self.body(stream))


class _Exchange:
    """The attempts of one request."""

    def __init__(self, owner: AsyncExchanges, request: Any) -> None:
        self._owner = owner
        self._request = request
        self._open: Any = None  # a failed answer too large to be read at once
        self.head: Any = None

    async def run(self) -> AsyncGenerator[Any, None]:
        """The answer, and then the chunks of its body."""
        owner, request = self._owner, self._request
        if self._open is not None:
            await self._open.aclose()
            self._open = None
        attempt = owner.attempt(request)
        response = await self._in_time(owner.wrapped.handle_async_request(attempt))
        kept = False
        try:
            unwanted = owner.rules.unwanted(response)
            if unwanted is not None:
                kept = await self._keep(response)
                raise unwanted
            self.head = response
            yield response
            chunks = aiter(response.stream)
            while True:
                chunk = await self._in_time(anext(chunks, None))
                if chunk is None:
                    break
                yield chunk
                if time_is_up():
                    raise owner.late(request)
        finally:
            if not kept:
                await response.aclose()

    async def _in_time(self, step: Any) -> Any:
        """What `step` gives, cut off at the ambient deadline, which need not be one of the pipeline's own."""
        owner = self._owner
        limit = asyncio.timeout(remaining())
        try:
            async with limit:
                return await step
        except TimeoutError as error:
            if limit.expired():
                raise owner.late(self._request) from error
            raise
        except owner.lib.TimeoutException as error:
            if time_is_up():
                raise owner.late(self._request) from error
            raise

    async def _keep(self, response: Any) -> bool:
        """Read a small failed answer, which frees its connection; True: its body is still to be read."""
        chunks: list[bytes] = []
        size = 0
        rest = aiter(response.stream)
        while True:
            chunk = await self._in_time(anext(rest, None))
            if chunk is None:
                break
            chunks.append(chunk)
            size += len(chunk)
            if size > SMALL_ANSWER_BYTES:
                response.stream = self._owner.rest(chunks, rest, response.stream)
                self._open = response
                return True
        await response.aclose()
        response.stream = self._owner.lib.ByteStream(b"".join(chunks))
        response.is_closed = False  # it has a body again, which its reader closes
        return True


class _Body:
    """The body of an answer: its permit goes when it is exhausted, closed or collected."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Give everything back."""
        await self._stream.aclose()


class _Rest:
    """A body of which a part has been read."""

    def __init__(self, chunks: list[bytes], rest: AsyncIterator[bytes], stream: Any) -> None:
        self._chunks = chunks
        self._rest = rest
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        async for chunk in self._rest:
            yield chunk

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()
