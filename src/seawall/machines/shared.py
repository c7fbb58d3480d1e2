"""What rate limits and bulkheads share that decides nothing: settings, counts, the numbering of refusals."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate, count, repeat
from operator import sub
from typing import Any, NamedTuple

from seawall.core.permit import Parked, Permit, Rejection
from seawall.events.types import CallRejected, RawEvent


class RateOptions(NamedTuple):
    """Settings of a limit by rate and burst; the policy validates them.

    Args:
        rate: tokens per second, > 0.
        burst: capacity in tokens; full at the start.
        max_wait: seconds a caller may wait for its tokens; 0 means never.
    """

    rate: float
    burst: float
    max_wait: float = 0.0


class WindowOptions(NamedTuple):
    """Settings of a limit by windows; the policy validates them.

    Args:
        limit: tokens in one window, > 0.
        window: seconds, > 0.
        max_wait: seconds a caller may wait for its tokens; 0 means never.
    """

    limit: float
    window: float
    max_wait: float = 0.0


def window_of(at: float, window: float) -> int:
    """The number of the window that a moment lies in: k for k × window exactly, whatever the division rounds to."""
    number = math.floor(at / window)
    if number * window > at:
        return number - 1
    return number + 1 if (number + 1) * window <= at else number


STEPS = 32  #: moments that are gone through one by one
INSTANT = 5e-5  #: seconds that make no difference to anybody


def latest_start(moments: Sequence[float], step: float) -> float:
    """The largest of moment number k minus k × step, from k = 0 on.

    It says when a limit that takes `step` seconds for each call would have begun, were it never idle since.
    """
    idle: Iterator[float] = map(sub, moments, accumulate(repeat(step, len(moments) - 1), initial=0.0))
    return max(idle)


class Booked(Permit):
    """A permit that knows at which moment, on the machine's own time, its tokens were taken."""

    __slots__ = ("moment",)
    moment: float


class Place(Parked):
    """A place in line: the moment it is booked for, on the machine's own time, and what undoes the booking."""

    __slots__ = ("at", "mark")
    at: float
    mark: Any


class Kept:
    """What a table of machines by key keeps: the key, its last use, and the neighbours in the order of use.

    A machine that is one itself needs nothing else there: of a million keys, each byte is a megabyte.
    """

    __slots__ = ("key", "newer", "older", "used")
    key: Hashable
    newer: Any  # another `Kept`; None where it is in no table
    older: Any
    used: float

    @property
    def machine(self) -> Any:
        """What is kept."""
        return self


class Shared:
    """What the machines of one policy have in common, so that it outlives a key: events, their numbers, counts.

    `waiting` and `inside` are numbers of callers now. In shadow mode nobody is refused or waits.

    Args:
        shadow: see above.
        outbox: for events; its own by default.
        numbers: of events, so that several may count as one; from 1 by default.
        name_of: what the machine of a key is called; None if machines have names in place of keys.
        stripe: which of several these are.
    """

    __slots__ = (
        "counts", "era", "ids", "inside", "name_of", "numbers", "outbox", "parts", "refused", "shadow",
        "stale_results", "stripe", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        *,
        shadow: bool = False,
        outbox: deque[RawEvent] | None = None,
        numbers: Iterator[int] | None = None,
        name_of: Callable[[Hashable], str] | None = None,
        stripe: int = 0,
    ) -> None:
        self.shadow = shadow
        self.refused = "shadow_rejected" if shadow else "rejected"
        self.counts = {"allowed": 0, self.refused: 0}
        self.outbox: deque[RawEvent] = deque() if outbox is None else outbox
        self.numbers = count(1) if numbers is None else numbers
        self.name_of = name_of
        self.stripe = stripe
        self.parts: Shared | None = None  # of the parts of several limits, which report nothing
        self.era = 1
        self.ids = 0  # of permits and places of rate limits
        self.stale_results = 0
        self.waiting = 0
        self.inside = 0

    def reject(
        self, kind: str, name: str, reason: str, retry_after: float | None, evidence: dict[str, object], now: float
    ) -> Rejection:
        """A refusal, counted and reported."""
        self.counts[self.refused] += 1
        number = next(self.numbers)
        self.outbox.append((CallRejected, number, now, name, kind, reason, retry_after, evidence))
        return Rejection(reason, retry_after, evidence, number, name)
