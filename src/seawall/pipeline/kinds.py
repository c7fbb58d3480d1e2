"""What a callable is: plain, a coroutine function, or a generator; looked up through partials, methods and objects."""

from __future__ import annotations

import functools
import inspect
from typing import Any

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_SPECIAL = _GENERATOR | inspect.CO_COROUTINE


def is_async(name: str, fn: Any) -> bool:
    """True for what gives an awaitable, False for what gives a value.

    Args:
        name: the pipeline's, for the message.
        fn: a function, method, partial, static method, or an object that can be called.

    Raises:
        TypeError: for generators, whose items would not be protected, and for what cannot be called.
    """
    code = getattr(fn, "__code__", None)
    if code is not None and not code.co_flags & _SPECIAL:
        return inspect.iscoroutinefunction(fn)  # plain, unless marked as one (`inspect.markcoroutinefunction`)
    if not callable(fn):
        raise TypeError(f"{name}: {fn!r} cannot be called; @classmethod and @staticmethod go outside (above)")
    inner = _innermost(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"{name}: {label_of(fn)} is a generator: a decorator would protect its creation, not its items")
    return inspect.iscoroutinefunction(inner)


def _innermost(fn: Any) -> Any:
    """The function that runs in the end when `fn` is called."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, staticmethod):
            fn = fn.__func__
        elif inspect.isroutine(fn) or isinstance(fn, type):
            return fn
        else:
            return getattr(type(fn), "__call__", fn)  # noqa: B004 - the function itself is wanted


def label_of(fn: Any) -> str:
    """A name for a callable."""
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)
