"""What seawall keeps in context variables: the ambient deadline, and the key of a logical call that has one.

The deadline only shrinks on the way in, is copied into worker threads with the context, and is read with
`seawall.remaining()`; the key is read with `seawall.idempotency_key()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

from seawall.core.clock import Clock, current_clock
from seawall.core.validate import duration

_Moment = tuple[float, float, Clock]  # when it is, how many seconds it gave, on which clock
_deadline: ContextVar[_Moment | None] = ContextVar("seawall_deadline", default=None)
_key: ContextVar[str | None] = ContextVar("seawall_idempotency_key", default=None)


def remaining() -> float | None:
    """Seconds left until the ambient deadline, never below 0; None when there is none.

    Source: gRPC deadlines; the smallest of all enclosing deadlines counts.
    """
    moment = _deadline.get()
    if moment is None:
        return None
    at, _, clock = moment
    return max(0.0, at - clock.now())


def deadline_on(clock: Clock) -> float | None:
    """The ambient deadline as a moment on `clock`, or None."""
    moment = _deadline.get()
    if moment is None:
        return None
    at, _, other = moment
    if other is clock:
        return at
    return clock.now() + (at - other.now())


def deadline_budget() -> float | None:
    """How many seconds the ambient deadline gave in all when it was set, or None."""
    moment = _deadline.get()
    return None if moment is None else moment[1]


def shrink_deadline(at: float, budget: float, clock: Clock) -> Token[_Moment | None]:
    """Set the ambient deadline unless an earlier one holds; undo with `restore_deadline`.

    Args:
        at: the moment, on `clock`.
        budget: seconds from now to then.
        clock: what `at` is read on.
    """
    present = deadline_on(clock)
    if present is not None and present <= at:
        return _deadline.set(_deadline.get())
    return _deadline.set((at, budget, clock))


def narrow_deadline(began: float, limit: float, clock: Clock) -> float:
    """Have the ambient deadline end at the latest at `began + limit`; returns when it ends.

    Undo it by setting what `ambient()` gave before with `set_ambient`: unlike a token that is not lost when a signal
    handler raises.
    """
    at = began + limit
    moment = _deadline.get()
    if moment is not None:
        present = moment[0] if moment[2] is clock else clock.now() + (moment[0] - moment[2].now())
        if present <= at:
            return present
    _deadline.set((at, limit, clock))
    return at


#: The ambient deadline as it is kept, for generated code; None if there is none.
ambient = _deadline.get
set_ambient = _deadline.set


def restore_deadline(token: Token[_Moment | None]) -> None:
    """Undo a `shrink_deadline`."""
    _deadline.reset(token)


@contextmanager
def deadline(limit: float) -> Iterator[None]:
    """Give everything inside the block at most `limit` seconds, all calls together; `remaining()` tells what is left.

    Nothing is cut short by it alone: protected calls inside do not begin, sleep or wait past it, and their timeouts
    shrink to it. A deadline that is already there and earlier stays.

    Args:
        limit: seconds, > 0.

    Raises:
        ConfigurationError: if `limit` is not above 0.
    """
    duration("deadline.limit", limit)
    clock = current_clock()
    token = shrink_deadline(clock.now() + limit, limit, clock)
    try:
        yield
    finally:
        restore_deadline(token)


def idempotency_key() -> str | None:
    """The key of the logical call this code runs in, the same in all its attempts; None if it has none.

    A `Retry(idempotent="key")` makes one for each logical call. Send it along (the header `Idempotency-Key`), so that
    the other side can tell a second attempt from a second order. Adapters do so by themselves.

    Source: draft-ietf-httpapi-idempotency-key-header.
    """
    return _key.get()


@contextmanager
def using_idempotency_key(key: str) -> Iterator[None]:
    """Make `key` the one that `idempotency_key()` gives inside the block."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)
