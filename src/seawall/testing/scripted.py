"""A dependency that does what a script says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

from seawall.core.clock import current_clock


class Scripted:
    """A dependency for tests, called like a function (or `acall` for coroutines).

    Args:
        script: one entry per call, the last for ever after: an exception (instance or class) is raised, a
            `(seconds, entry)` pair takes that long first, anything else is returned.
    """

    def __init__(self, script: Iterable[Any]) -> None:
        self._script = list(script)
        self.calls = 0

    def _next(self) -> tuple[float, Any]:
        """(seconds, entry) for this call."""
        entry = self._script[min(self.calls, len(self._script) - 1)]
        self.calls += 1
        if isinstance(entry, tuple):
            return float(entry[0]), entry[1]
        return 0.0, entry

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One call of a plain function."""
        took, entry = self._next()
        if took:
            clock = current_clock()
            clock.wait(threading.Event(), clock.now() + took)
        return _end(entry)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """One call of a coroutine function."""
        took, entry = self._next()
        if took:
            clock = current_clock()
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            timer = loop.call_at(clock.loop_time(loop, clock.now() + took), done.set_result, None)
            try:
                await done
            finally:
                timer.cancel()
        return _end(entry)


def _end(entry: Any) -> Any:
    """Raise or return an entry."""
    if isinstance(entry, BaseException) or (isinstance(entry, type) and issubclass(entry, BaseException)):
        raise entry
    return entry
