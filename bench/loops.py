"""The protected functions, and the loops that call them: one function for each way of calling.

Each loop gives the nanoseconds of processor time that it took. Nothing here waits, so on an idle machine that is the
time on the wall; on a busy one it leaves out the turns of other programs. It is the time of all threads, so what a
library moves to another one counts. `turns` is `itertools.repeat`, the cheapest thing to count with.
"""

from __future__ import annotations

from itertools import cycle, repeat
from time import process_time_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class BoomError(Exception):
    """What the dependency raises when it fails."""


def op(x: int) -> int:
    """The protected function."""
    return x


async def aop(x: int) -> int:
    """The protected coroutine function."""
    return x


def answer() -> bool:
    """What a boolean question is compared with."""
    return True


def broken(x: int) -> int:
    """A function that always fails."""
    raise BoomError(x)


def now_and_then(every: int) -> Callable[[int], int]:
    """A function that fails at one call out of `every`."""
    turns = cycle([True] + [False] * (every - 1))

    def call(x: int) -> int:
        if next(turns):
            raise BoomError
        return x

    return call


def empty(function: Callable[[int], Any], turns: repeat[None]) -> int:
    """The loop itself."""
    del function
    began = process_time_ns()
    for _ in turns:
        pass
    return process_time_ns() - began


def calls(function: Callable[[int], Any], turns: repeat[None]) -> int:
    """Plain calls."""
    began = process_time_ns()
    for _ in turns:
        function(1)
    return process_time_ns() - began


def questions(function: Callable[[], Any], turns: repeat[None]) -> int:
    """Calls without an argument."""
    began = process_time_ns()
    for _ in turns:
        function()
    return process_time_ns() - began


def failing(function: Callable[[int], Any], turns: repeat[None]) -> int:
    """Calls of which some, or all, raise: refusals and failures of the dependency."""
    began = process_time_ns()
    for _ in turns:
        try:
            function(1)
        except Exception:  # noqa: BLE001, S110  -- whatever is raised, the caller catches it and goes on
            pass
    return process_time_ns() - began


async def awaits(function: Callable[[int], Any], turns: repeat[None]) -> int:
    """Awaited calls."""
    began = process_time_ns()
    for _ in turns:
        await function(1)
    return process_time_ns() - began


async def failing_awaits(function: Callable[[int], Any], turns: repeat[None]) -> int:
    """Awaited calls that raise."""
    began = process_time_ns()
    for _ in turns:
        try:
            await function(1)
        except Exception:  # noqa: BLE001, S110  -- as in `failing`
            pass
    return process_time_ns() - began
