"""From an exception or a result to a verdict; unknown errors are failures."""

from __future__ import annotations

from typing import Any

from seawall.core.errors import RejectedError
from seawall.core.verdict import Verdict
from seawall.errors.kinds import BUGS, kind_of
from seawall.errors.status import status_of


def verdict_of(error: BaseException) -> Verdict:
    """The default verdict on an exception.

    Cancellation, interrupts and our own refusals are ignored. Timeouts, 408 and 503 are dropped, 429 is throttled,
    other 4xx are the caller's mistake and ignored, everything else is a failure. An adapter that knows better
    leaves its verdict on the error, as `__seawall_verdict__`.
    """
    if isinstance(error, RejectedError) or not isinstance(error, Exception):
        return Verdict.IGNORED
    said = getattr(error, "__seawall_verdict__", None)
    if isinstance(said, Verdict):
        return said
    if isinstance(error, TimeoutError):
        return Verdict.DROPPED
    status = status_of(error)
    if status is not None:
        return verdict_of_status(status)
    return Verdict.DROPPED if kind_of(error) == "timeout" else Verdict.FAILURE


def verdict_of_status(status: int) -> Verdict:
    """The verdict on an HTTP status, 100 to 599."""
    if status == 429:
        return Verdict.THROTTLED
    if status in {408, 503}:
        return Verdict.DROPPED
    if status >= 500:
        return Verdict.FAILURE
    return Verdict.IGNORED if status >= 400 else Verdict.SUCCESS


def retryable(error: BaseException) -> bool:
    """True if trying again may help: a failure, a timeout or a throttled call that is not a bug of the program."""
    if isinstance(error, BUGS):
        return False
    verdict = verdict_of(error)
    return verdict.failed or verdict is Verdict.THROTTLED


def label(thing: Any) -> str:
    """A short name for the cause of a failure that cannot hold a secret: the status, or the class of the error."""
    status = status_of(thing)
    if status is not None:
        return str(status)
    return type(thing).__name__ if isinstance(thing, BaseException) else "result"
