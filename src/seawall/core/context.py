"""The ambient deadline: the only thing seawall keeps in a context variable.

It only shrinks on the way in, is copied into worker threads with the context, and is read with `seawall.remaining()`.
"""

from __future__ import annotations

from contextvars import ContextVar, Token

from seawall.core.clock import Clock

_Moment = tuple[float, float, Clock]  # when it is, how many seconds it gave, on which clock
_deadline: ContextVar[_Moment | None] = ContextVar("seawall_deadline", default=None)


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


def restore_deadline(token: Token[_Moment | None]) -> None:
    """Undo a `shrink_deadline`."""
    _deadline.reset(token)
