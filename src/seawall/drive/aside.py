"""Runs plain code beside a loop, in a thread of its own.

NB: not in the loop's executor: since 3.12 `asyncio.run` waits for that with a timer, which a virtual clock would jump.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from seawall.core.clock import Clock

T = TypeVar("T")


async def in_thread(work: Callable[[], T], clock: Clock) -> T:
    """What `work` gives or raises, while the loop goes on; the context is copied."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()
    begun = threading.Event()

    def end(value: T | None, error: BaseException | None) -> None:
        if future.done():  # nobody waits for it any more
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]  # without an error it is a T, which may be None

    def run() -> None:
        value, failure = None, None
        with clock.working():
            begun.set()
            try:
                value = context.run(work)
            except BaseException as error:
                failure = error
            try:
                loop.call_soon_threadsafe(end, value, failure)
            except RuntimeError:  # the loop is closed: nobody is there
                return

    threading.Thread(target=run, name="seawall-aside", daemon=True).start()
    begun.wait()  # a virtual clock must know of the thread before it jumps
    return await future
