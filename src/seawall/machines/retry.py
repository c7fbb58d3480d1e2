"""Whether to try again, and when.

Checked in this order after each attempt: is it worth it, are attempts left, does the dependency ask for a pause that is
too long, does the wait fit the deadline and the total time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from seawall.core.chance import Chance
    from seawall.machines.backoff import Backoff

GiveUpReason = Literal["attempts", "not_retryable", "deadline", "max_time", "rejected", "retry_after_too_long"]


class Wait(NamedTuple):
    """Try again after `delay` seconds."""

    delay: float


class GiveUp(NamedTuple):
    """Do not try again."""

    reason: GiveUpReason


class Ended(NamedTuple):
    """How an attempt ended, as far as trying again goes.

    Args:
        retryable: whether another attempt may help.
        retry_after: seconds the dependency, or our own refusal, asks to wait.
        rejected: True for a refusal of our own: nothing was sent.
    """

    retryable: bool
    retry_after: float | None = None
    rejected: bool = False


class RetryOptions(NamedTuple):
    """Settings of a retry; the policy validates them.

    Args:
        attempts: calls in all, the first included.
        backoff: rule for the delays.
        max_time: seconds from the first attempt after which none is started; None for no limit.
        retry_after_cap: seconds; a longer pause asked for by the dependency ends the call at once.
    """

    attempts: int
    backoff: Backoff
    max_time: float | None = None
    retry_after_cap: float = 60.0


class RetryRun:
    """One logical call: decides after each of its attempts. Not shared between calls."""

    __slots__ = ("attempt", "options", "previous", "started_at")

    def __init__(self, options: RetryOptions, now: float) -> None:
        self.options = options
        self.attempt = 1
        self.started_at = now
        self.previous: float | None = None

    def after(self, ended: Ended, chance: Chance, now: float, deadline: float | None = None) -> Wait | GiveUp:
        """What to do after attempt number `self.attempt` has failed.

        Retry-After is a floor under the backoff, spread by up to half again so that refused clients do not return
        together. A refusal of our own is tried again only when the time it names fits a deadline.

        Args:
            ended: how the attempt ended.
            chance: source of jitter.
            now: this moment.
            deadline: moment after which nothing may start; None for none.
        """
        if not ended.retryable:
            return GiveUp("rejected" if ended.rejected else "not_retryable")
        if self.attempt >= self.options.attempts:
            return GiveUp("attempts")
        delay = self.options.backoff.delay(self.attempt - 1, chance, self.previous)
        hint = ended.retry_after
        if hint is not None:
            if hint > self.options.retry_after_cap:
                return GiveUp("retry_after_too_long")
            spread = hint if ended.rejected else hint * (1 + 0.5 * chance())
            delay = max(delay, spread)
        if ended.rejected and (deadline is None or hint is None):
            return GiveUp("rejected")
        if deadline is not None and now + delay >= deadline:
            return GiveUp("rejected" if ended.rejected else "deadline")
        if self.options.max_time is not None and now + delay - self.started_at >= self.options.max_time:
            return GiveUp("max_time")
        self.attempt += 1
        self.previous = delay
        return Wait(delay)
