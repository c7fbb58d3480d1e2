"""The ways to call through a pipeline, shared by the pipeline itself and by what `for_key` gives."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from seawall.core.outcome import Outcome
from seawall.drive.call import NO_OPTIONS, Call, CallOptions
from seawall.pipeline.kinds import is_async, label_of

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline

P = ParamSpec("P")
R = TypeVar("R")


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
            return _outcome(call, self._pipeline._run(call), None)
        except Exception as error:
            return _outcome(call, None, error)

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

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Protect a `def` or `async def`; the result has the same signature and type.

        Raises:
            TypeError: for generators, whose items would not be protected.
            ConfigurationError: for a plain function under a `Timeout` without mode.
        """
        pipeline = self._pipeline
        if is_async(pipeline.name, fn):

            @functools.wraps(fn)
            async def protected_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await pipeline._arun(self._made(fn, args, kwargs))

            wrapped: Any = protected_async
        else:
            pipeline._check_sync()

            @functools.wraps(fn)
            def protected(*args: P.args, **kwargs: P.kwargs) -> Any:
                return pipeline._run(self._made(fn, args, kwargs))

            wrapped = protected
        wrapped.pipeline = pipeline
        result: Callable[P, R] = wrapped
        return result


class Bound(Calls):
    """Calls through a pipeline with something said of them in particular; see `Pipeline.with_options`."""

    def __init__(self, pipeline: Pipeline, options: CallOptions) -> None:
        self._pipeline = pipeline
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._pipeline!r} with options>"  # a key may be a secret


def _outcome(call: Call, value: Any, error: Exception | None) -> Outcome[Any]:
    """The outcome of a finished call."""
    return Outcome(
        value,
        error,
        degraded=call.degraded and error is None,
        source=call.source,
        attempts=call.started,
        duration=max(0.0, call.clock.now() - call.entered_at),
        cause=call.cause,
    )
