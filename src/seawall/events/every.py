"""Every kind of event by name, and those that only the daemon emits; see `types`, which offers both."""

from __future__ import annotations

from typing import Any, NamedTuple

from seawall.events.types import (
    TRANSITIONS,
    CallFailed,
    CallRejected,
    CallShadowed,
    CallSlow,
    CallTimedOut,
    FallbackUsed,
    OverrideEnded,
    OverrideSet,
    RetryGaveUp,
    RetryScheduled,
)


class CheckChanged(NamedTuple):
    """A health check moved to another status."""

    number: int
    at: float
    name: str
    was: str
    now: str
    reason: str


class ProcessStarted(NamedTuple):
    """A supervised process was started; `attempt` counts starts since it last ran well, from 1."""

    number: int
    at: float
    name: str
    pid: int
    attempt: int


class ProcessExited(NamedTuple):
    """A supervised process ended; `how` is in words ("exit code 1", "killed by SIGKILL")."""

    number: int
    at: float
    name: str
    pid: int
    how: str
    ran_for: float
    restart_in: float | None  #: seconds; None when it is not restarted


class ProgramLinked(NamedTuple):
    """A program opened its link to the daemon; `name` is the program's."""

    number: int
    at: float
    name: str
    pid: int
    worker: str


class ProgramLost(NamedTuple):
    """A program's link to the daemon ended."""

    number: int
    at: float
    name: str
    pid: int
    worker: str
    reason: str


EVENTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *TRANSITIONS,
        CallRejected,
        CallShadowed,
        RetryScheduled,
        RetryGaveUp,
        CallTimedOut,
        CallFailed,
        CallSlow,
        FallbackUsed,
        OverrideSet,
        OverrideEnded,
        CheckChanged,
        ProcessStarted,
        ProcessExited,
        ProgramLinked,
        ProgramLost,
    )
}
