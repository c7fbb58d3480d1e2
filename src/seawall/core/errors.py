"""The errors seawall itself raises; a dependency's own exception always passes through unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SeawallError(Exception):
    """Root of all errors raised by seawall."""


class ConfigurationError(SeawallError, ValueError):
    """Something was set up in a way that cannot work; the message names the place, the value and the remedy."""


class DecisionError(SeawallError):
    """A policy ended or refused a call.

    Args:
        message: what happened, to what, why, what to do.
        policy: kind of the policy, such as "circuit_breaker".
        name: its name.
        retry_after: seconds after which asking again may succeed; None when unknown.
        evidence: what the decision rests on: counts, last error class, state.
    """

    def __init__(
        self,
        message: str = "",
        *,
        policy: str = "",
        name: str = "",
        retry_after: float | None = None,
        evidence: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.policy = policy
        self.name = name
        self.retry_after = retry_after
        self.evidence: dict[str, object] = dict(evidence or {})


class RejectedError(DecisionError):
    """The call was never executed: nothing was sent, so doing it again is safe.

    Args:
        id: such as "r-7f3a1c": what `seawall explain` finds this refusal by; "" if it is in no journal.
    """

    def __init__(self, message: str = "", *, id: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.id = id


class CircuitOpenError(RejectedError):
    """The circuit is open, forced open, or half-open with all trial places taken."""


class RateLimitedError(RejectedError):
    """The rate limit has no tokens left for this call."""


class BulkheadFullError(RejectedError):
    """All slots are in use and there is no room, or no time, to wait for one."""


class DeadlineExceededError(RejectedError):
    """The deadline had passed before the call began."""


class ShuttingDownError(RejectedError):
    """The program is shutting down and takes no new calls; another worker may take it."""


class OutcomeUnknownError(DecisionError):
    """The call was begun and cut short: it may have been executed."""


class TimedOutError(OutcomeUnknownError, TimeoutError):
    """The call took longer than its timeout or its deadline."""


class StreamInterruptedError(OutcomeUnknownError):
    """A stream failed after items had been delivered; the dependency's own error is its cause.

    Args:
        delivered: how many items the consumer got.
    """

    def __init__(self, message: str = "", *, delivered: int = 0, **details: Any) -> None:
        super().__init__(message, **details)
        self.delivered = delivered


class StreamTimedOutError(StreamInterruptedError, TimedOutError):
    """A stream fell silent, or took too long, after items had been delivered."""
