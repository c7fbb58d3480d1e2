"""Whether to try again, and when.

Checked in this order after each attempt: is it worth it and harmless, are attempts left, does the dependency ask us to
stop or to wait for too long, does the wait fit the deadline and the total time, does the budget allow it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from seawall.core.chance import Chance
    from seawall.machines.backoff import Backoff

GiveUpReason = Literal[
    "attempts", "not_retryable", "not_idempotent", "nested", "deadline", "max_time", "rejected", "pushback",
    "retry_after_too_long", "budget", "draining",
]  # fmt: skip


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
        stop: a reason found elsewhere why there must be no other attempt; None if there is none.
        pushback: True if the dependency asks us not to try again.
    """

    retryable: bool
    retry_after: float | None = None
    rejected: bool = False
    stop: GiveUpReason | None = None
    pushback: bool = False


class Budget(Protocol):
    """What is asked last, because it is taken from."""

    def withdraw(self, now: float) -> bool:
        """Leave for one more attempt, booked at once; False if the budget is spent."""


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

    def after(
        self, ended: Ended, chance: Chance, now: float, deadline: float | None = None, budget: Budget | None = None
    ) -> Wait | GiveUp:
        """What to do after attempt number `self.attempt` has failed.

        Retry-After is a floor under the backoff, spread by up to half again so that refused clients do not return
        together. A refusal of our own is tried again only when the time it names fits a deadline.

        Args:
            ended: how the attempt ended.
            chance: source of jitter.
            now: this moment.
            deadline: moment after which nothing may start; None for none.
            budget: what another attempt is booked on; None for none.
        """
        reason = self._reason_against(ended)
        if reason is not None:
            return GiveUp(reason)
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
        if budget is not None and not budget.withdraw(now):
            return GiveUp("budget")
        self.attempt += 1
        self.previous = delay
        return Wait(delay)

    def _reason_against(self, ended: Ended) -> GiveUpReason | None:
        """Why there is no further attempt whatever the wait would be; None if there may be one."""
        if not ended.retryable:
            return "rejected" if ended.rejected else "not_retryable"
        if ended.stop is not None:
            return ended.stop
        if self.attempt >= self.options.attempts:
            return "attempts"
        return "pushback" if ended.pushback else None

    def left(self) -> int:
        """Attempts that may still begin, the present one included."""
        return self.options.attempts - self.attempt + 1
