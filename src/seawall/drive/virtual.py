"""A clock that jumps: when everybody waits, time moves to the earliest moment somebody waits for.

Threads take part through `Clock.wait`. An asyncio loop is adopted when it first asks for the time: it gets this clock's
time, and a selector that jumps where it would have slept. Nothing needs patching, chained waits run through by
themselves, and an hour of backoff takes milliseconds.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_POLL = 0.001  # real seconds between two looks while some thread is still working


class VirtualClock:
    """Virtual seconds, starting at `start`.

    Args:
        start: the first moment; 0 by default.
        epoch: wall time at `start`, seconds since the Unix epoch; 1,600,000,000 (2020-09-13) by default.
    """

    def __init__(self, start: float = 0.0, epoch: float = 1_600_000_000.0) -> None:
        self._now = start
        self._epoch = epoch - start
        self._condition = threading.Condition()
        # Guarded by _condition
        self._busy: dict[int, int] = {}  # threads that have said they work, by identity, and how often
        self._waits: dict[int, tuple[float | None, Callable[[], bool]]] = {}  # until when, and whether woken before
        self._next = 0
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    # --------------------------------------------------------------- time

    def now(self) -> float:
        """The present virtual moment."""
        return self._now

    def wall(self) -> float:
        """The present virtual wall time."""
        return self._epoch + self._now

    def advance(self, by: float) -> None:
        """Move time on by hand by `by` seconds, at least 0; whoever waits for a moment up to then looks again."""
        if by < 0:
            raise ValueError(f"advance({by}): time does not go back")
        with self._condition:
            self._now += by
            self._condition.notify_all()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Marks this thread as busy: time does not jump until it waits for the clock or leaves the block."""
        me = threading.get_ident()
        with self._condition:
            self._busy[me] = self._busy.get(me, 0) + 1
        try:
            yield
        finally:
            with self._condition:
                left = self._busy.pop(me, 1) - 1
                if left:
                    self._busy[me] = left
                self._condition.notify_all()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """This thread waits for something else inside the block, such as the end of other threads."""
        me = threading.get_ident()
        with self._condition:
            busy = self._busy.pop(me, 0)
        try:
            yield
        finally:
            with self._condition:
                if busy:
                    self._busy[me] = busy

    # ------------------------------------------------------------ threads

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` of virtual time; for scripted dependencies in tests."""
        self.wait(threading.Event(), self._now + seconds)

    def wait(self, event: threading.Event, until: float | None) -> bool:
        """Block until `event` is set or virtual time reaches `until`; see `Clock.wait`."""
        with self._waiting(until, event.is_set):
            while not event.is_set() and (until is None or self._now < until):
                if not self._jump():
                    # an event set from outside does not notify the condition, so look now and then
                    self._condition.wait(_POLL)
            return event.is_set()

    @contextmanager
    def _waiting(self, until: float | None, woken: Callable[[], bool]) -> Iterator[None]:
        """This thread waits for `until` or to be woken and does not count as busy; holds the condition."""
        me = threading.get_ident()
        with self._condition:
            self._next += 1
            place = self._next
            self._waits[place] = until, woken
            busy = self._busy.pop(me, 0)
            try:
                yield
            finally:
                del self._waits[place]
                if busy:
                    self._busy[me] = busy
                self._condition.notify_all()

    def _jump(self) -> bool:
        """Move to the earliest moment waited for, if nobody is busy; True if time moved. Needs the condition."""
        moments = [moment for moment, _ in self._waits.values() if moment is not None]
        if self._busy or not moments or min(moments) <= self._now:
            return False
        if any(woken() for _, woken in self._waits.values()):
            return False  # somebody was woken and has not come to it yet
        self._now = min(moments)
        self._condition.notify_all()
        return True

    # --------------------------------------------------------------- loops

    def loop_time(self, loop: asyncio.AbstractEventLoop, until: float) -> float:
        """The moment `until` on the scale of `loop.time()`, which is this clock's own; adopts the loop."""
        self.adopt(loop)
        return until

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make `loop` run on this clock, timers of others included.

        The loop takes this clock's scale, so that a timer meets its moment exactly: a difference of two scales would be
        rounded, and a timer that fires an instant early makes whoever looks at the clock wait again, for ever.

        Raises:
            TypeError: for loops without a selector (uvloop, Windows' proactor).
        """
        if loop in self._loops:
            return
        target: Any = loop
        if not hasattr(target, "_selector"):
            raise TypeError(f"the virtual clock needs a selector event loop, not {type(loop).__name__}")
        earlier = loop.time() - self._now
        for timer in target._scheduled:  # all move alike, so their order stays
            timer._when -= earlier
        self._loops.add(loop)
        target._selector = _JumpingSelector(target._selector, self, loop)
        target.time = lambda: self._now

    def select(self, inner: Any, seconds: float | None, loop: Any) -> Any:
        """What a loop with nothing to do for `seconds` does: look at its descriptors, and let time jump."""
        ready = inner.select(0)
        until = None
        if seconds is not None:  # the next timer's own moment: now + seconds may miss it by a rounding
            until = loop._scheduled[0]._when if loop._scheduled else self._now + seconds
        while not ready and (until is None or self._now < until):
            with self._waiting(until, lambda: bool(inner.select(0))):
                jumped = self._jump()
                self._condition.release()  # a callback from another thread must not wait for this loop
                try:
                    ready = inner.select(0 if jumped else _POLL)
                finally:
                    self._condition.acquire()
            if until is None:
                break
        return ready


class _JumpingSelector:
    """A selector that moves virtual time instead of sleeping; real file descriptors are looked at first."""

    def __init__(self, inner: Any, clock: VirtualClock, loop: Any) -> None:
        self._inner = inner
        self._clock = clock
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Ready descriptors; when there are none, time jumps by up to `timeout`."""
        try:
            if timeout is not None and timeout <= 0:
                return self._inner.select(0)
            return self._clock.select(self._inner, timeout, self._loop)
        finally:
            # a loop runs the timers that are due within its resolution: make that the least it can tell apart now
            self._loop._clock_resolution = math.ulp(self._clock.now())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
