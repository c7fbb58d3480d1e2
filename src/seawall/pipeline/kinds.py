"""What a callable is: plain, a coroutine function, or a generator; looked up through partials, methods and objects."""

from __future__ import annotations

import functools
from typing import Any, Literal

Kind = Literal["plain", "coroutine", "generator", "async_generator"]

_SPECIAL = 0x20 | 0x200 | 0x80  # CO_GENERATOR, CO_ASYNC_GENERATOR and CO_COROUTINE of `inspect`, which is loaded late


def kind_of(name: str, fn: Any) -> Kind:
    """What calling `fn` gives: a value, an awaitable, or a stream of items.

    A plain function may still turn out to give an awaitable; that is seen when it is called.

    Args:
        name: the pipeline's, for the message.
        fn: a function, method, partial, static method, or an object that can be called.

    Raises:
        TypeError: for what cannot be called.
    """
    known = getattr(fn, "__seawall_kind__", None)  # what one of our own wrappers gives cannot be seen in its code
    if known is not None:
        found: Kind = known
        return found
    code = getattr(fn, "__code__", None)
    plain = code is not None and not code.co_flags & _SPECIAL
    if plain and not getattr(fn, "__dict__", True):
        return "plain"
    import inspect  # late: it takes long to load; a pipeline has loaded it when it was made

    if plain:  # unless marked (`inspect.markcoroutinefunction`)
        return "coroutine" if inspect.iscoroutinefunction(fn) else "plain"
    if not callable(fn):
        raise TypeError(f"{name}: {fn!r} cannot be called; give a function, method, partial or callable object")
    inner = _innermost(fn)
    if inspect.isgeneratorfunction(inner):
        return "generator"
    if inspect.isasyncgenfunction(inner):
        return "async_generator"
    return "coroutine" if inspect.iscoroutinefunction(inner) else "plain"


def is_async(name: str, fn: Any) -> bool:
    """True for what gives an awaitable, False for what gives a value.

    Raises:
        TypeError: for generators, whose items a call would not protect, and for what cannot be called.
    """
    kind = kind_of(name, fn)
    if kind in {"generator", "async_generator"}:
        raise TypeError(
            f"{name}: {label_of(fn)} is a generator: a call would protect its creation, not its items; "
            "use pipeline.stream(…), or decorate it"
        )
    return kind == "coroutine"


def _innermost(fn: Any) -> Any:
    """The function that runs in the end when `fn` is called."""
    import inspect  # late: see `kind_of`

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
