"""Timers of one timeout: calls with the same limit end in the order they began, so one timer of the loop serves all.

A timer of the loop for every call costs a heap entry and a handle, and is nearly always cancelled. Here a call puts
itself into a dictionary, which keeps the order, and takes itself out; the loop has one timer, for the first of them.

Cancelling and its bookkeeping are those of `asyncio.timeout`: the task is cancelled when the time is up, and on the way
out the request is taken back, unless somebody else has asked for it too.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from asyncio import current_task, get_running_loop
from sys import get_asyncgen_hooks
from typing import TYPE_CHECKING, Any, Protocol

from seawall.core.context import ambient, narrow_deadline, set_ambient

if TYPE_CHECKING:
    from seawall.core.clock import Clock

#: Up to CPython 3.11 `get_running_loop` is a system call, as it looks for forks. A loop that runs sets hooks for
#: asynchronous generators in its thread, and the bound method it sets is its own, another one each time it runs.
_SLOW = sys.version_info < (3, 12)

_TICK = 1e-6  # seconds: timers fire up to a tick of the loop's clock early; waiting less than that would be spinning

#: One call: whether its time was up; what takes it out (None until it is armed); its task; how often that had been
#: cancelled before; whether the cancellation was ours alone (None until it is over); the moment.
Timer = list[Any]
FIRED, POP, TASK, _CANCELLING, _MINE, _DUE = range(6)


def unarmed() -> Timer:
    """A timer that runs for nobody yet."""
    return [False, None, None, 0, None, 0.0]


def _sign() -> object:
    """What stays the same as long as the loop of now runs in this thread, and is cheap to get; None if nothing does."""
    return get_asyncgen_hooks()[0] if _SLOW else get_running_loop()


class _Line:
    """The calls under way in one loop, in the order their times run out."""

    __slots__ = ("__weakref__", "armed", "last", "live", "pop")

    def __init__(self) -> None:
        self.live: dict[asyncio.Task[Any], Timer] = {}
        self.pop = self.live.pop
        self.last = float("-inf")
        self.armed = False

    def fire(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        """Cancel those whose time is up, and look again when the next one's is."""
        self.armed = False
        live = self.live
        while live:
            task = next(iter(live))
            timer = live[task]
            if timer[_DUE] > clock.now():
                self.arm(loop, clock, max(clock.loop_time(loop, timer[_DUE]), loop.time() + _TICK))
                return
            del live[task]
            timer[FIRED] = True
            task.cancel()

    def arm(self, loop: asyncio.AbstractEventLoop, clock: Clock, at: float) -> None:
        """Look at a moment of the loop's own time."""
        self.armed = True
        loop.call_at(at, self.fire, loop, clock)


class Clocked(Protocol):
    """What has a clock, and may be given another one."""

    clock: Clock
    limit: float


class Timers:
    """The timers of one policy, in all loops.

    Args:
        policy: whose clock the moments are on.
    """

    __slots__ = ("_lines", "_now", "_policy")

    def __init__(self, policy: Clocked) -> None:
        self._policy = policy
        self.renew()

    def renew(self) -> None:
        """Forget all: the child of a fork has no tasks of its parent's."""
        # NB: a line must not keep its loop alive, or it would never leave this table
        self._lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = weakref.WeakKeyDictionary()
        #: What tells that the loop that came last is running in this thread, that loop, and its line.
        self._now: tuple[object, asyncio.AbstractEventLoop | None, _Line] = object(), None, _Line()

    def arm(self, timer: Timer, due: float) -> None:
        """Cancel the task of now when `due` comes, unless it is disarmed before."""
        loop = get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line()
        self._now = _sign() or object(), loop, line
        task = current_task(loop)
        if task is None:
            raise RuntimeError("a timeout needs a task to cancel; run the coroutine in one")
        if due < line.last or task in line.live:  # an earlier deadline from outside; or one call inside another
            line = _Line()
        line.last = timer[_DUE] = due
        timer[TASK] = task
        timer[_CANCELLING] = task.cancelling()
        timer[POP] = line.pop
        line.live[task] = timer
        if not line.armed:
            clock = self._policy.clock
            line.arm(loop, clock, clock.loop_time(loop, due))

    def enter(self, timer: Timer, began: float) -> float:
        """Bound an attempt of generated code that begins at a moment; returns when its time is up.

        The ambient deadline shrinks to it. What undoes that is in `template.py`.
        """
        policy = self._policy
        limit, clock = policy.limit, policy.clock
        if ambient() is None:
            due = began + limit
            set_ambient((due, limit, clock))
        else:
            due = narrow_deadline(began, limit, clock)
        sign, loop, line = self._now
        if sign is (get_asyncgen_hooks()[0] if _SLOW else get_running_loop()) and line.armed and due >= line.last:
            task = current_task(loop)
            live = line.live
            if task is not None and task not in live:
                line.last = timer[_DUE] = due
                timer[TASK] = task
                timer[_CANCELLING] = task.cancelling()
                timer[POP] = line.pop
                live[task] = timer
                return due
        self.arm(timer, due)
        return due


def disarm(timer: Timer) -> None:
    """The call is over, one way or the other; a second time does nothing."""
    if timer[POP] is None or timer[_MINE] is not None:
        return
    timer[POP](timer[TASK], None)
    timer[_MINE] = timer[FIRED] and timer[TASK].uncancel() <= timer[_CANCELLING]


def ran_out(timer: Timer, error: BaseException) -> bool:
    """Whether a call that has ended with an error was cut short by its own timer, and by nobody else."""
    return bool(timer[_MINE]) and isinstance(error, asyncio.CancelledError)
