"""What an attempt meant to the policies around it."""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """How one admitted call ended, as policies count it.

    `UNSENT` is `IGNORED` for a call that an inner guard refused: nothing was sent, so tokens are refunded and trial
    places returned. Slowness is a property beside the verdict, judged from the duration.
    """

    SUCCESS = 0
    FAILURE = 1
    DROPPED = 2  #: timeout, 503, overload: a failure that also shrinks concurrency limits
    THROTTLED = 3  #: 429, quota: neutral for a breaker, closes rate gates
    IGNORED = 4  #: excluded error, cancellation, our own refusal
    UNSENT = 5

    @property
    def failed(self) -> bool:
        """True for the verdicts a circuit breaker counts as failures."""
        return self is Verdict.FAILURE or self is Verdict.DROPPED

    @property
    def neutral(self) -> bool:
        """True for the verdicts a circuit breaker does not count at all."""
        return self >= Verdict.THROTTLED
