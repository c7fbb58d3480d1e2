"""Running a program of coroutines on a virtual clock, and waiting in it; for simulations."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from seawall.drive.virtual import VirtualClock

T = TypeVar("T")


def run_on(clock: VirtualClock, coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a virtual clock: all waits jump."""

    async def adopted() -> T:
        clock.adopt(asyncio.get_running_loop())
        return await coroutine

    return asyncio.run(adopted())


async def wait_until(clock: VirtualClock, at: float) -> None:
    """Wait until the moment `at`; not at all if it has passed."""
    if at <= clock.now():
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(clock.loop_time(loop, at), _let_go, done)
    try:
        await done
    finally:
        timer.cancel()


def _let_go(done: asyncio.Future[None]) -> None:
    """End a wait, unless it was given up in the very same step of the loop."""
    if not done.done():
        done.set_result(None)


def spawn(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task in the running loop; the caller keeps it."""
    return asyncio.get_running_loop().create_task(coroutine)
