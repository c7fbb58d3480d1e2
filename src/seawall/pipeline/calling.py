"""The ways to call through a pipeline, shared by the pipeline itself and by what `for_key` gives."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from seawall.drive.call import NO_OPTIONS, Call, CallOptions
from seawall.pipeline.kinds import is_async, kind_of, label_of

if TYPE_CHECKING:
    from seawall.core.outcome import Outcome
    from seawall.drive.aio_stream import AsyncStream
    from seawall.drive.sync_stream import Stream
    from seawall.pipeline.compose import Pipeline

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
C = TypeVar("C")


class Calls:
    """Calls through `_pipeline`, with `_options` said of each of them."""

    _pipeline: Pipeline
    _options: CallOptions = NO_OPTIONS

    def _made(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """One logical call."""
        pipeline = self._pipeline
        return Call(pipeline.name, fn, args, kwargs, pipeline.clock, pipeline._judge, self._options)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a plain function under protection.

        Raises:
            RejectedError: it was refused and never executed.
            TimedOutError: it was cut short and may have been executed.
            Exception: what the function itself raised, with a note on what was tried.
        """
        self._check_plain(fn)
        value: R = self._pipeline._run(self._made(fn, args, kwargs))
        return value

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await a coroutine function under protection; raises as `call` does."""
        is_async(self._pipeline.name, fn)
        value: R = await self._pipeline._arun(self._made(fn, args, kwargs))
        return value

    def call_outcome(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Call a plain function and get an `Outcome` instead of an exception; interrupts are still raised."""
        self._check_plain(fn)
        call = self._made(fn, args, kwargs)
        try:
            value = self._pipeline._run(call)
        except Exception as error:
            return _outcome(call, None, error)
        if call.awaitable is not None:  # it has still to run: there is no outcome yet
            call.let_go()
            value.close()
            raise TypeError(f"{call.name}: the function gave an awaitable; use `await pipeline.acall_outcome(…)`")
        return _outcome(call, value, None)

    async def acall_outcome(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Outcome[R]:
        """Await a coroutine function and get an `Outcome`; cancellation is still raised."""
        is_async(self._pipeline.name, fn)
        call = self._made(fn, args, kwargs)
        try:
            return _outcome(call, await self._pipeline._arun(call), None)
        except Exception as error:
            return _outcome(call, None, error)

    def _check_plain(self, fn: Any) -> None:
        """Refuse what a plain call cannot protect."""
        name = self._pipeline.name
        if is_async(name, fn):
            raise TypeError(f"{name}: {label_of(fn)} is a coroutine function: use `await pipeline.acall(…)`")

    # ------------------------------------------------------------- streams

    @overload
    def stream(self, fn: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs) -> Stream[T]: ...
    @overload
    def stream(self, fn: Callable[P, AsyncIterator[T]], /, *args: P.args, **kwargs: P.kwargs) -> AsyncStream[T]: ...
    @overload
    def stream(
        self, fn: Callable[P, Awaitable[AsyncIterator[T]]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncStream[T]: ...
    def stream(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """The items of a stream, under protection.

        Nothing is called before the first item is asked for. Until it is delivered, retry and fallback act freely;
        afterwards the retry's `after_first` says what follows. `Timeout(first_item=…, idle=…, min_rate=…)` bounds what
        is waited for.

        Args:
            fn: a generator function, an async one, or a function that gives an iterator. What gives an asynchronous
                one without showing it (a lambda) goes to `astream`.
            *args: what it is called with.
            **kwargs: the same, by name.

        Returns:
            An iterator, or an async one, with `close()`/`aclose()`, `delivered`, `attempts` and `degraded`. It is a
            context manager too.

        Raises:
            RejectedError: (on the first item) it was refused and never executed.
            StreamInterruptedError: it broke off after items had been delivered.
            Exception: what the function itself raised before the first item.
        """
        if kind_of(self._pipeline.name, fn) in {"coroutine", "async_generator"}:
            return self.astream(fn, *args, **kwargs)
        return self._stream(fn, args, kwargs)

    def astream(
        self,
        fn: Callable[P, AsyncIterator[T]] | Callable[P, Awaitable[AsyncIterator[T]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncStream[T]:
        """The items of an asynchronous stream, under protection; see `stream`."""
        from seawall.drive.aio_stream import AsyncStream  # late: it imports asyncio

        pipeline = self._pipeline
        pipeline._check_stream()
        return AsyncStream(self._made(fn, args, kwargs), pipeline._parts(), pipeline._judge.finished)

    def _stream(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Stream[Any]:
        """A stream of plain code."""
        from seawall.drive.sync_stream import Stream  # late: loaded when the pipeline was made

        pipeline = self._pipeline
        pipeline._check_stream()
        pipeline._check_sync()
        return Stream(self._made(fn, args, kwargs), pipeline._parts(), pipeline._judge.finished)

    # ---------------------------------------------------------- decorating

    @overload
    def __call__(self, fn: classmethod[C, P, R], /) -> classmethod[C, P, R]: ...
    @overload
    def __call__(self, fn: staticmethod[P, R], /) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]: ...
    def __call__(self, fn: Any, /) -> Any:
        """Protect a `def`, `async def`, generator or async generator; the result has the same signature and type.

        Methods, class methods, static methods, partials, callable objects and lambdas too. A plain function that gives
        an awaitable is seen when it is called, and what it gives is awaited under protection.

        Raises:
            TypeError: for what cannot be called.
            ConfigurationError: for a plain function under a `Timeout` without mode.
        """
        if isinstance(fn, classmethod | staticmethod):
            return type(fn)(self(fn.__func__))
        pipeline = self._pipeline
        kind = kind_of(pipeline.name, fn)
        if kind in {"plain", "generator"}:
            pipeline._check_sync()
        else:
            from seawall.drive import aio, aio_stream  # noqa: F401 - late: it imports asyncio; no failure may come first
        wrapped = pipeline._generated.function(fn, kind) if self._options is NO_OPTIONS else None
        if wrapped is None:
            wrapped = _WRAPPERS[kind](self, fn)
        wrapped.pipeline = pipeline
        if kind in {"generator", "async_generator"}:
            wrapped.__seawall_kind__ = kind
        return wrapped


def _plain(calls: Calls, fn: Callable[..., Any]) -> Any:
    """`fn` protected."""
    run = calls._pipeline._run

    @functools.wraps(fn)
    def protected(*args: Any, **kwargs: Any) -> Any:
        return run(calls._made(fn, args, kwargs))

    return protected


def _coroutine(calls: Calls, fn: Callable[..., Any]) -> Any:
    """`fn` protected."""
    run = calls._pipeline._arun

    @functools.wraps(fn)
    async def protected_async(*args: Any, **kwargs: Any) -> Any:
        return await run(calls._made(fn, args, kwargs))

    return protected_async


def _generator(calls: Calls, fn: Callable[..., Any]) -> Any:
    """`fn` protected, item by item."""

    @functools.wraps(fn)
    def protected_stream(*args: Any, **kwargs: Any) -> Any:
        return calls._stream(fn, args, kwargs)

    return protected_stream


def _async_generator(calls: Calls, fn: Callable[..., Any]) -> Any:
    """`fn` protected, item by item."""

    @functools.wraps(fn)
    def protected_async_stream(*args: Any, **kwargs: Any) -> Any:
        return calls.astream(fn, *args, **kwargs)

    return protected_async_stream


_WRAPPERS: dict[str, Callable[[Calls, Callable[..., Any]], Any]] = {
    "plain": _plain,
    "coroutine": _coroutine,
    "generator": _generator,
    "async_generator": _async_generator,
}


class Bound(Calls):
    """Calls through a pipeline with something said of them in particular; see `Pipeline.with_options`."""

    def __init__(self, pipeline: Pipeline, options: CallOptions) -> None:
        self._pipeline = pipeline
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._pipeline!r} with options>"  # a key may be a secret


def _outcome(call: Call, value: Any, error: Exception | None) -> Outcome[Any]:
    """The outcome of a finished call."""
    from seawall.core.outcome import Outcome  # late: loaded when the pipeline was made

    return Outcome(
        value,
        error,
        degraded=call.degraded and error is None,
        source=call.source,
        attempts=call.started,
        duration=max(0.0, call.clock.now() - call.entered_at),
        cause=call.cause,
    )
