"""One way through guards and queues around something that is no plain call: a block, or a stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, cast

from seawall.drive import sync

if TYPE_CHECKING:
    from seawall.drive.call import Call


class Passage:
    """Guards and queues, entered in order and left once, in either colour.

    Args:
        policies: guards and queues, outermost first.
        call: the logical call they are entered for.
    """

    __slots__ = ("_call", "_held", "_policies")

    def __init__(self, policies: Sequence[Any], call: Call) -> None:
        self._policies = policies
        self._call = call
        self._held: ExitStack | AsyncExitStack | None = None

    def enter(self) -> None:
        """Acquire everything, or nothing; the attempt has begun then."""
        with ExitStack() as stack:
            for policy in self._policies:
                guard: Any = sync.Guarded if policy.shape == "guard" else sync.Queued
                stack.enter_context(guard(policy, self._call))
            self._call.begin()
            self._held = stack.pop_all()

    async def aenter(self) -> None:
        """Acquire everything, or nothing; the attempt has begun then."""
        from seawall.drive import aio  # late: it imports asyncio

        async with AsyncExitStack() as stack:
            for policy in self._policies:
                if policy.shape == "guard":
                    stack.enter_context(sync.Guarded(policy, self._call))
                else:
                    await stack.enter_async_context(aio.Queued(policy, self._call))
            self._call.begin()
            self._held = stack.pop_all()

    def exit(self, error: BaseException | None) -> None:
        """Give everything back; a second time does nothing."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            self._ended(error)
        finally:  # the user's rule may raise
            cast("ExitStack", held).__exit__(type(error) if error else None, error, None)

    async def aexit(self, error: BaseException | None) -> None:
        """Give everything back; a second time does nothing."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            self._ended(error)
        finally:  # the user's rule may raise
            await cast("AsyncExitStack", held).__aexit__(type(error) if error else None, error, None)

    def drop(self, error: BaseException) -> None:
        """`aexit` for a finaliser, which cannot await: leaving a guard or a queue never waits for anything."""
        leaving = self.aexit(error)
        try:
            leaving.send(None)
        except StopIteration:
            pass
        finally:
            leaving.close()

    def _ended(self, error: BaseException | None) -> None:
        """What was done inside has ended."""
        if error is not None:
            self._call.failed(error)
        self._call.on_attempt(self._call, error, self._call.judge(error, None))
