"""Retry: try again when that can help, spread out, and never past the deadline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from seawall.core.chance import Chance, system_chance
from seawall.core.context import deadline_on
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.snapshot import PolicySnapshot
from seawall.core.validate import duration, error_types, function, whole
from seawall.core.verdict import Verdict
from seawall.drive.call import Call, Shape, note
from seawall.errors.classify import retryable as retryable_by_default
from seawall.events.types import RetryGaveUp, RetryScheduled
from seawall.events.words import seconds
from seawall.machines.backoff import Backoff, Exponential
from seawall.machines.retry import Ended, GiveUp, RetryOptions, RetryRun, Wait
from seawall.measure.histogram import Histogram
from seawall.policies.base import PolicyBase

Retryable = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]


class Retry(PolicyBase):
    """Calls again after a failure that may pass.

    On giving up the last real exception comes through with a note on the attempts. Cancellation is never retried; a
    refusal of our own only when the wait it names fits the deadline.

    Args:
        attempts: calls in all, the first included; from 1, 3 by default.
        backoff: rule for the delays; `Exponential(base=0.1, cap=10, multiplier=2, jitter="full")` by default.
        retryable: exception types, or a function of the exception, for what may be tried again. By default failures,
            timeouts and throttling, but not mistakes of the program such as TypeError.
        retry_result: function of the value; True means try again. By default answers with status 429 and 5xx.
        max_time: seconds from the first attempt after which no other starts; None (default) leaves it to the deadline.
        retry_after_cap: seconds, > 0; if the dependency asks for a longer pause the call ends at once. 60 by default.
        chance: source of jitter, for tests; see `core.chance`.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    kind = "retry"
    rank = 2
    shape: Shape = "loop"
    _state = (*PolicyBase._state, "_attempts", "_succeeded", "_failures", "_delays")

    def __init__(
        self,
        attempts: int = 3,
        *,
        backoff: Backoff | None = None,
        retryable: Retryable | None = None,
        retry_result: Callable[[Any], bool] | None = None,
        max_time: float | None = None,
        retry_after_cap: float = 60.0,
        chance: Chance | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        whole("Retry.attempts", attempts, 1)
        if backoff is not None and not isinstance(backoff, Backoff):
            raise ConfigurationError(f"Retry.backoff = {backoff!r}: must be a rule of seawall.backoff")
        if retryable is not None:
            error_types("Retry.retryable", retryable, or_function=True)
        if retry_result is not None:
            function("Retry.retry_result", retry_result)
        if max_time is not None:
            duration("Retry.max_time", max_time)
        duration("Retry.retry_after_cap", retry_after_cap, zero=True)
        self.options = RetryOptions(attempts, backoff or Exponential(), max_time, float(retry_after_cap))
        self.retryable = retryable
        self.retry_result = retry_result
        self.chance: Chance = chance or system_chance
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._attempts: Counter[int] = Counter()
        self._succeeded = 0
        self._failures: Counter[str] = Counter()
        self._delays = Histogram()

    def start(self, call: Call) -> _Run:
        """Begin one logical call."""
        with self._lock:
            self._attempts[1] += 1
        return _Run(self, self.clock.now())

    def ended(self, call: Call, error: BaseException | None) -> Ended | None:
        """What an attempt's end means for trying again; None when it was a success, or is not ours to judge."""
        if error is None:
            if self.retry_result is not None:
                again = self.retry_result(call.value)
            else:
                verdict = call.judge(None, call.value)
                again = verdict.failed or verdict is Verdict.THROTTLED
            return Ended(True, call.hint(None, call.value)) if again else None
        if isinstance(error, RejectedError):
            return Ended(True, error.retry_after, rejected=True)
        rule = self.retryable
        if rule is None:
            again = retryable_by_default(error)
        elif isinstance(rule, type | tuple):
            again = isinstance(error, rule)
        else:
            again = rule(error)
        return Ended(again, call.hint(error, None))

    def snapshot(self) -> PolicySnapshot:
        """The retry at this moment; see `PolicyBase.snapshot`."""
        with self._lock:
            return PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters={
                    **{f"attempts.{n}": count for n, count in sorted(self._attempts.items())},
                    "success": self._succeeded,
                    **{f"failures.{reason}": count for reason, count in sorted(self._failures.items())},
                },
                histograms={"delay": self._delays.data()},
                details={"options": {"attempts": self.options.attempts, "backoff": repr(self.options.backoff)}},
            )


class _Run:
    """One logical call under a retry."""

    __slots__ = ("_entered", "_machine", "_policy")

    def __init__(self, policy: Retry, now: float) -> None:
        self._policy = policy
        self._machine = RetryRun(policy.options, now)
        self._entered = now

    def after(self, call: Call, error: Exception | None) -> Wait | None:
        """Wait and try again, or None to let the end of the attempt through."""
        policy, machine = self._policy, self._machine
        ended = policy.ended(call, error)
        attempt = machine.attempt
        if ended is None:
            if attempt > 1:
                with policy._lock:
                    policy._succeeded += 1
            return None
        now = policy.clock.now()
        step = machine.after(ended, policy.chance, now, deadline_on(policy.clock))
        cause = call.label(error, call.value)
        if isinstance(step, GiveUp):
            self._gave_up(step, attempt, cause, error, now)
            return None
        with policy._lock:
            policy._attempts[machine.attempt] += 1
            policy._delays.observe(step.delay)
        policy._emit(RetryScheduled, attempt, step.delay, cause)
        return step

    def _gave_up(self, step: GiveUp, attempt: int, cause: str, error: Exception | None, now: float) -> None:
        """Count and report the end of it, and leave a note on the error."""
        policy = self._policy
        with policy._lock:
            policy._failures[step.reason] += 1
        if attempt > 1 or step.reason != "rejected":  # a refused first attempt has its own event
            policy._emit(RetryGaveUp, attempt, step.reason, cause)
        if error is not None and attempt > 1 and not isinstance(error, RejectedError):
            spent = seconds(now - self._entered)
            why = step.reason.replace("_", " ")
            note(error, f"seawall: {policy.name}: gave up after {attempt} attempts in {spent} ({why})")

    def abandon(self) -> None:
        """The sleep was cut short: there is nothing to refund."""
