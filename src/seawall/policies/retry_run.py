"""One logical call under a retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.core.chance import unique_id
from seawall.core.context import deadline_on
from seawall.core.errors import RejectedError
from seawall.drive.marks import mark_given_up, new_mark, note
from seawall.events.types import RetryGaveUp, RetryScheduled
from seawall.events.words import seconds
from seawall.machines.retry import GiveUp, GiveUpReason, RetryRun, Wait

if TYPE_CHECKING:
    from seawall.drive.call import Call
    from seawall.policies.retry import Retry


class Run:
    """Decides after each attempt, books and gives back retries, and counts."""

    __slots__ = ("_begun", "_booked", "_call", "_entered", "_machine", "_mark", "_policy")

    def __init__(self, policy: Retry, call: Call) -> None:
        self._policy = policy
        self._call = call
        resumed = call.resumed
        self._entered = policy.clock.now() if resumed is None or resumed.began is None else resumed.began
        self._machine = RetryRun(policy.options, self._entered)
        self._mark = new_mark() if resumed is None else resumed.mark
        self._begun = call.started
        self._booked = False
        if call.awaitable is None:  # else the plain driver has counted it, which found that it belongs here
            with policy._lock:
                policy._attempts[1] += 1
        call.attempts_left = policy.options.attempts
        if policy.idempotent == "key" and call.idempotency_key is None:
            call.idempotency_key = unique_id()

    def after(self, call: Call, error: Exception | None) -> Wait | None:
        """Wait and try again, or None to let the end of the attempt through."""
        policy, machine = self._policy, self._machine
        now = policy.clock.now()
        self._settle(call, now)
        ended = policy.ended(call, error, self._mark)
        attempt = machine.attempt
        if ended is None:
            if attempt > 1:
                with policy._lock:
                    policy._succeeded["success"] += 1
            return None
        if policy.bus.drain.draining and not ended.rejected and ended.retryable and ended.stop is None:
            ended = ended._replace(stop="draining")
        step = machine.after(ended, policy.chance, now, deadline_on(policy.clock), policy.budget)
        if isinstance(step, GiveUp):
            self._gave_up(step.reason, attempt, call, error, now)
            return None
        self._booked = policy.budget is not None
        self._begun = call.started
        self._mark = new_mark()
        call.attempts_left = machine.left()
        with policy._lock:
            policy._attempts[machine.attempt] += 1
            policy._delays.observe(step.delay)
        policy._emit(RetryScheduled, attempt, step.delay, call.label(error, call.value))
        return step

    def _settle(self, call: Call, now: float) -> None:
        """Tell the budget of the attempt that has ended: the first counts, a booked one that was not sent returns."""
        budget = self._policy.budget
        if budget is None:
            return
        sent = call.started > self._begun
        if self._machine.attempt == 1:
            if sent:
                budget.deposit(now)
        elif self._booked and not sent:
            budget.refund(now)
        self._booked = False

    def _gave_up(self, reason: GiveUpReason, attempt: int, call: Call, error: Exception | None, now: float) -> None:
        """Count and report the end of it, and leave a note and a mark on the error."""
        policy = self._policy
        with policy._lock:
            policy._failures[reason] += 1
        if attempt > 1 or reason != "rejected":  # a refused first attempt has its own event
            policy._emit(RetryGaveUp, attempt, reason, call.label(error, call.value))
        if policy.options.attempts > 1:  # else it never meant to act, and one further out may
            mark_given_up(call.value if error is None else error)
        if error is not None and attempt > 1 and not isinstance(error, RejectedError):
            spent = seconds(now - self._entered)
            why = reason.replace("_", " ")
            note(error, f"seawall: {policy.name}: gave up after {attempt} attempts in {spent} ({why})")

    def drained(self, call: Call, error: Exception | None) -> None:
        """The program is going away: the attempt that was waited for is not made."""
        self.abandon()
        self._gave_up("draining", self._machine.attempt - 1, call, error, self._policy.clock.now())

    def abandon(self) -> None:
        """The call was cut short: a retry that was booked and has not been sent is not made."""
        if self._booked and self._policy.budget is not None and self._call.started == self._begun:
            self._policy.budget.refund(self._policy.clock.now())
        self._booked = False
