"""The one clock: monotonic seconds for every duration, wall seconds for display only.

Direct reads of the time and sleeps are banned outside this file and `drive/`, so that a policy runs unchanged on the
virtual clock of `seawall.testing`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractContextManager


class Clock(Protocol):
    """Where time comes from, and how a thread or a loop waits for it."""

    def now(self) -> float:
        """Seconds on a monotonic scale with an arbitrary origin."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; for display, HTTP dates and persisted records, never for durations."""

    def wait(self, event: threading.Event, until: float | None) -> bool:
        """Block this thread until `event` is set (True) or `until` has come (False); None waits without limit."""

    def loop_time(self, loop: asyncio.AbstractEventLoop, until: float) -> float:
        """The moment `until` on the scale of `loop.time()`."""

    def working(self) -> AbstractContextManager[None]:
        """Marks a thread as busy, so that a virtual clock does not run ahead of it."""


class SystemClock:
    """The machine's monotonic clock."""

    __slots__ = ()

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def wait(self, event: threading.Event, until: float | None) -> bool:
        """Block until `event` is set or `until` has come; see `Clock.wait`."""
        if until is None:
            return event.wait()
        # threading refuses timeouts above TIMEOUT_MAX; a wait of centuries is cut, and the caller looks again
        return event.wait(min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX))

    def loop_time(self, loop: asyncio.AbstractEventLoop, until: float) -> float:
        """See `Clock.loop_time`."""
        return loop.time() + (until - time.monotonic())

    @contextmanager
    def working(self) -> Iterator[None]:
        """Nothing to mark: real time waits for nobody."""
        yield


SYSTEM_CLOCK = SystemClock()

_override: ContextVar[Clock | None] = ContextVar("seawall_clock", default=None)


def current_clock() -> Clock:
    """The clock that objects made here and now use: the system's, or the one `using_clock` put in its place."""
    return _override.get() or SYSTEM_CLOCK


@contextmanager
def using_clock(clock: Clock) -> Iterator[None]:
    """Make `clock` the clock of every seawall object built inside the block."""
    token = _override.set(clock)
    try:
        yield
    finally:
        _override.reset(token)
