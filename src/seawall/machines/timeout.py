"""The timeout as a race of one: launch the call, sleep until the limit, finish.

The limit is the smaller of its own and what is left of an enclosing deadline.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Launch(NamedTuple):
    """Start the call."""


class SleepUntil(NamedTuple):
    """Look again when something has finished, or at this moment."""

    at: float


class Finish(NamedTuple):
    """The race is over: "result" of the call, or "timeout"."""

    how: Literal["result", "timeout"]


LAUNCH = Launch()


class TimeoutRace:
    """One call against one moment.

    Args:
        limit: seconds the call may take; may be infinite.
        now: when the race begins.
        deadline: moment of an enclosing deadline, or None.
    """

    __slots__ = ("launched", "limit", "until")

    def __init__(self, limit: float, now: float, deadline: float | None = None) -> None:
        self.until = now + limit if deadline is None else min(now + limit, deadline)
        self.limit = self.until - now
        self.launched = False

    def next(self, now: float, finished: bool) -> Launch | SleepUntil | Finish:
        """The next step at `now`, given whether the call has finished."""
        if not self.launched:
            if now >= self.until:
                return Finish("timeout")
            self.launched = True
            return LAUNCH
        if finished:
            return Finish("result")
        return SleepUntil(self.until) if now < self.until else Finish("timeout")
