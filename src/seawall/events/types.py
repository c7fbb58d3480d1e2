"""Every event there is.

Machines emit raw tuples `(class, number, at, name, …)` because those cost a tenth of a named tuple; `inflate` turns one
into its class for listeners. Three fields come first in all of them:

* `number`: counts the events of one policy, without gaps, in the order they were decided;
* `at`: seconds on the emitting program's monotonic clock;
* `name`: what it happened to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from seawall.events.every import EVENTS as EVENTS
    from seawall.events.every import CheckChanged as CheckChanged
    from seawall.events.every import ProcessExited as ProcessExited
    from seawall.events.every import ProcessStarted as ProcessStarted
    from seawall.events.every import ProgramLinked as ProgramLinked
    from seawall.events.every import ProgramLost as ProgramLost

RawEvent = tuple[Any, ...]


class CircuitOpened(NamedTuple):
    """A circuit tripped, or trial calls failed.

    `reason` is "tripped", "trial_failed", "lease_ended", "half_open_ended" or "manual".
    """

    number: int
    at: float
    name: str
    reason: str
    retry_after: float  #: seconds until the next trial
    evidence: Mapping[str, Any]


class CircuitHalfOpened(NamedTuple):
    """The open period is over: trial calls are let through."""

    number: int
    at: float
    name: str
    reason: str
    max_calls: int


class CircuitClosed(NamedTuple):
    """Enough trial calls succeeded in a row, or somebody reset the circuit."""

    number: int
    at: float
    name: str
    reason: str
    open_for: float  #: seconds since it first opened


class CircuitForced(NamedTuple):
    """Somebody pinned the circuit: `state` is "open", "closed", "disabled" or "observe"."""

    number: int
    at: float
    name: str
    state: str
    owner: str
    reason: str
    expires_in: float | None


class CircuitReleased(NamedTuple):
    """A pin ended: `reason` is "released", "expired" or "lapsed". `state` is what the circuit is in now."""

    number: int
    at: float
    name: str
    state: str
    owner: str
    reason: str


class CallRejected(NamedTuple):
    """A policy refused a call; nothing was sent."""

    number: int
    at: float
    name: str
    policy: str
    reason: str
    retry_after: float | None
    evidence: Mapping[str, Any]


class CallShadowed(NamedTuple):
    """A policy in shadow mode would have refused a call; it was let through. Fields as in `CallRejected`."""

    number: int
    at: float
    name: str
    policy: str
    reason: str
    retry_after: float | None
    evidence: Mapping[str, Any]


class RetryScheduled(NamedTuple):
    """Attempt number `attempt` failed and another will follow in `delay` seconds."""

    number: int
    at: float
    name: str
    attempt: int
    delay: float
    cause: str


class RetryGaveUp(NamedTuple):
    """No further attempt: `reason` is attempts, not_retryable, deadline, max_time, rejected or retry_after_too_long."""

    number: int
    at: float
    name: str
    attempts: int
    reason: str
    cause: str


class CallTimedOut(NamedTuple):
    """A timeout or deadline of `limit` seconds cut a call short."""

    number: int
    at: float
    name: str
    policy: str
    limit: float


class CallFailed(NamedTuple):
    """One attempt failed; `cause` is the class of the error or the status of the answer."""

    number: int
    at: float
    name: str
    verdict: str
    cause: str
    duration: float


class CallSlow(NamedTuple):
    """One attempt succeeded and was slow: it took `duration` seconds, more than `limit`.

    `rule` says what that limit is: "slow_rate", the threshold of a circuit's `SlowRate`, or "timeout", half of what the
    pipeline's timeout allows an attempt.
    """

    number: int
    at: float
    name: str
    duration: float
    limit: float
    rule: str


class FallbackUsed(NamedTuple):
    """A fallback answered in place of a failed call."""

    number: int
    at: float
    name: str
    source: str
    cause: str


class OverrideSet(NamedTuple):
    """Somebody changed a pipeline for a while: `changes` in words of code, `expires_in` in seconds or None."""

    number: int
    at: float
    name: str
    changes: str
    owner: str
    reason: str
    expires_in: float | None


class OverrideEnded(NamedTuple):
    """An override ended: `reason` is "lifted" or "expired"."""

    number: int
    at: float
    name: str
    owner: str
    reason: str


TRANSITIONS: tuple[type, ...] = (CircuitOpened, CircuitHalfOpened, CircuitClosed, CircuitForced, CircuitReleased)

#: Those of the daemon, and all by name: calls do without.
_LATE = frozenset({
    "EVENTS", "CheckChanged", "ProcessExited", "ProcessStarted", "ProgramLinked", "ProgramLost",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    """A kind of event that was not loaded yet."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seawall.events import every

    found = globals()[name] = getattr(every, name)
    return found


#: A refusal by generated code, in short: its number, its moment, and what gives the event of the two.
Refusal = tuple[int, float, Any]


def inflate(raw: RawEvent) -> Any:
    """The named tuple of a raw event."""
    return raw[0]._make(raw[1:])
