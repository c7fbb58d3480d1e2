"""Streams of asynchronous code; see `sync_stream`. What belongs to both colours stands in `stream`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from seawall.core.context import restore_deadline, shrink_deadline, using_idempotency_key
from seawall.drive import aio
from seawall.drive.stream import StreamCore, StreamPlan, items_of, no_end, raise_instead

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.drive.call import Call

T = TypeVar("T")

_END = object()


class AsyncStream(AsyncGenerator[T, Any]):
    """The items of a protected stream; closing it, or letting go of it, gives everything back."""

    __slots__ = ("_core", "_source")

    def __init__(self, call: Call, parts: StreamPlan, finished: Callable[[Call, BaseException | None], None]) -> None:
        self._core = StreamCore(call, parts, finished)
        self._source: AsyncIterator[Any] | None = None

    @property
    def delivered(self) -> int:
        """Items given so far."""
        return self._core.delivered

    @property
    def degraded(self) -> bool:
        """True when the items come from a fallback."""
        return self._core.call.degraded

    @property
    def attempts(self) -> int:
        """Attempts that began so far."""
        return self._core.call.started

    async def __anext__(self) -> T:
        return await self.asend(None)

    async def asend(self, value: Any) -> T:
        """The next item; `value` goes to a source that takes one."""
        if not self._core.busy.acquire(blocking=False):
            raise RuntimeError("asynchronous stream is already running")
        try:
            return await self._send(value)
        finally:
            self._core.busy.release()

    async def _send(self, value: Any) -> T:
        """See `asend`."""
        core = self._core
        if core.done:
            raise StopAsyncIteration
        while True:
            try:
                core.start("async")
                item = await self._pull(value)
                if item is _END and core.passage is not None:
                    await core.passage.aexit(None)
            except BaseException as error:
                await self._failed(error)
                continue
            if item is _END:
                self._source = None
                core.ended()
                raise StopAsyncIteration
            if core.deliver(item):
                result: T = item
                return result

    async def _pull(self, value: Any) -> Any:
        """Wait for one item within the limits."""
        core = self._core
        clock = core.call.clock
        if self._source is None and not core.substitute:
            with core.scope():
                await core.open().aenter()
        before = clock.now()
        until = core.until(before)
        token = None if until is None else shrink_deadline(until.at, max(0.0, until.seconds), clock)
        at = None if until is None else clock.loop_time(asyncio.get_running_loop(), until.at)
        limit = asyncio.timeout_at(at)
        try:
            async with limit:
                item = await self._ask(value)
        except BaseException as error:
            core.waited(clock.now() - before, arrived=False)
            if limit.expired() and isinstance(error, TimeoutError) and until is not None:
                raise until.late() from error
            instead = core.lost(error, until)
            try:
                if instead is error:
                    raise
                raise instead from error
            finally:
                del instead
        finally:
            if token is not None:
                restore_deadline(token)
        core.waited(clock.now() - before, arrived=item is not _END)
        return item

    async def _ask(self, value: Any) -> Any:
        """One item of the source, which is made first if there is none."""
        key = self._core.call.idempotency_key
        if key is None:
            return await self._of_source(value)
        with using_idempotency_key(key):
            return await self._of_source(value)

    async def _of_source(self, value: Any) -> Any:
        """See `_ask`."""
        source = self._source
        if source is None:
            made = self._core.source()
            if inspect.isawaitable(made):
                made = await made
            source = self._source = _asynchronous(made)
        try:
            return await (anext(source) if value is None else source.asend(value))  # type: ignore[attr-defined]
        except StopAsyncIteration:
            return _END

    async def _failed(self, error: BaseException) -> None:
        """Give everything back and make ready for another attempt, or end the logical call and raise."""
        try:
            await self._go_on(error)
        except BaseException as raised:  # whatever it is: a user's rule may raise too, and any wait may be cancelled
            self._core.finish(raised)
            if isinstance(raised, StopAsyncIteration):
                raise no_end(self._core.call, raised) from raised
            raise
        finally:
            del error  # a local of a frame in its own traceback would keep both alive

    async def _go_on(self, error: BaseException) -> None:
        """See `_failed`."""
        core = self._core
        step: Any = None
        try:
            await self._let_go(error)
            step = core.after(error)
            if hasattr(step, "delay"):
                if await aio.pause(*core.pausing(), step.delay):
                    return
                assert isinstance(error, Exception)
                core.drained(error)
                step = core.over(error)
            if isinstance(step, BaseException):
                raise_instead(step, error)
            value = await aio.substitute(step, core.call)
            self._source = _asynchronous(value if hasattr(value, "__aiter__") else items_of(value))
        finally:
            del error, step

    async def _let_go(self, error: BaseException, *, closing: bool = False) -> None:
        """Close the source and leave guards and queues; those first, whatever the source does about it.

        Args:
            error: what ends the attempt.
            closing: True when the consumer closes the stream.
        """
        source, self._source = self._source, None
        passage = self._core.passage
        try:
            if passage is not None:
                await passage.aexit(error)
        finally:
            close = getattr(source, "aclose", None)
            # NB: a cancelled source that is no generator is still open. Nothing may be awaited where this coroutine
            # itself is closed: its loop is gone, or nobody holds it any more.
            if close is not None and (closing or isinstance(error, Exception | asyncio.CancelledError)):
                try:
                    await close()
                except Exception as trouble:
                    self._core.unclosed(error, trouble)

    async def aclose(self) -> None:
        """End it early: neutral for every policy, and all permits are given back. Any number of times."""
        core = self._core
        if core.done:
            return
        if not core.busy.acquire(blocking=False):
            raise RuntimeError("asynchronous stream is already running")
        ending = GeneratorExit()
        try:
            await self._let_go(ending, closing=True)
        finally:
            core.finish(ending)
            core.busy.release()

    async def athrow(self, kind: Any, value: Any = None, tb: TracebackType | None = None, /) -> Any:
        """End it early with an error of the consumer's."""
        await self.aclose()
        raise value if value is not None else kind

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(self, kind: object, error: object, tb: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)  # a constructor that failed leaves none
        if core is None or core.done or not core.started:
            return
        ending = GeneratorExit()
        try:
            if core.passage is not None:
                core.passage.drop(ending)  # NB: the source is closed by its loop, which looks after lost generators
        finally:
            core.finish(ending)


def _asynchronous(value: Any) -> AsyncIterator[Any]:
    """An asynchronous iterator over any kind of stream."""
    if hasattr(value, "__aiter__"):
        iterator: AsyncIterator[Any] = aiter(value)
        return iterator
    return _plain(iter(value))


async def _plain(items: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """The items of a plain iterator."""
    for item in items:
        yield item
