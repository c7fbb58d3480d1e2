"""The ambient deadline: the only thing seawall keeps in a context variable.

It only shrinks on the way in, is copied into worker threads with the context, and is read with `seawall.remaining()`.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

from seawall.core.clock import Clock

_Moment = tuple[float, Clock]
_deadline: ContextVar[_Moment | None] = ContextVar("seawall_deadline", default=None)


def remaining() -> float | None:
    """Seconds left until the ambient deadline, never below 0; None when there is none.

    Source: gRPC deadlines; the smallest of all enclosing deadlines counts.
    """
    moment = _deadline.get()
    if moment is None:
        return None
    at, clock = moment
    return max(0.0, at - clock.now())


def deadline_on(clock: Clock) -> float | None:
    """The ambient deadline as a moment on `clock`, or None."""
    moment = _deadline.get()
    if moment is None:
        return None
    at, other = moment
    if other is clock:
        return at
    return clock.now() + (at - other.now())


def shrink_deadline(at: float, clock: Clock) -> Token[_Moment | None]:
    """Set the ambient deadline to `at` on `clock` unless an earlier one holds; undo with `restore_deadline`."""
    present = deadline_on(clock)
    return _deadline.set((at if present is None else min(at, present), clock))


def restore_deadline(token: Token[_Moment | None]) -> None:
    """Undo a `shrink_deadline`."""
    _deadline.reset(token)
