"""Runs calls that may block for ever away from the loop, at most one at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


class StillBusyError(RuntimeError):
    """The call before this one has not returned; another one is not begun."""


class Offload:
    """One place for blocking calls: a call that hangs keeps it until it returns, so hung calls never pile up.

    A dead network mount blocks a thread beyond any timeout. Threads are daemons, so even such a one does not keep the
    program from ending; that is why the loop's own executor is not used.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()

    async def run(self, call: Callable[[], T], what: str) -> T:
        """Give what `call()` gives, or raise what it raises.

        Raises:
            StillBusyError: if an earlier call still hangs; `what` names it in the message.
        """
        if not self._busy.acquire(blocking=False):
            raise StillBusyError(f"{what} still hangs from an earlier look")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        try:
            threading.Thread(target=self._work, args=(call, loop, answer), name=f"seawall-{what}", daemon=True).start()
        except BaseException:
            self._busy.release()
            raise
        return await answer

    def _work(self, call: Callable[[], T], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T]) -> None:
        """The thread: call, then hand over, if anybody still waits."""
        value: T | None = None
        error: BaseException | None = None
        try:
            value = call()
        except BaseException as raised:  # noqa: BLE001 - handed to the waiter
            error = raised
        finally:
            self._busy.release()
        try:
            loop.call_soon_threadsafe(_settle, answer, cast("T", value), error)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody waits


def _settle(answer: asyncio.Future[T], value: T, error: BaseException | None) -> None:
    """Give the waiter its answer, unless it has given up."""
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)
