"""Retry: try again when that can help, spread out, and never past the deadline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from seawall.budgets.retry import RetryBudget
from seawall.core.chance import Chance, system_chance
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.lazy import lazy
from seawall.core.validate import duration, function, whole
from seawall.core.verdict import Verdict
from seawall.drive.marks import given_up_since
from seawall.policies.base import PolicyBase

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.core.snapshot import PolicySnapshot
    from seawall.drive.call import Call
    from seawall.drive.protocols import Shape
    from seawall.drive.quiet import Batch
    from seawall.errors.predicates import Predicate, Retryable
    from seawall.events.types import Refusal
    from seawall.machines.backoff import Backoff
    from seawall.machines.retry import Ended
    from seawall.measure.histogram import Histogram
    from seawall.policies.retry_run import Run

AfterFirst = Literal["raise", "resume", "restart"]
Idempotent = bool | Literal["key"]
Resume = Callable[[Sequence[Any]], Any]


class Retry(PolicyBase):
    """Calls again after a failure that may pass.

    On giving up the last real exception comes through with a note on the attempts. Cancellation is never retried; a
    refusal of our own only when the wait it names fits the deadline. Retries are booked on a budget before they wait.
    Of retries inside one another the innermost acts: what it gives up is final for those further out.

    Args:
        attempts: calls in all, the first included; from 1, 3 by default.
        backoff: rule for the delays; `Exponential(base=0.1, cap=10, multiplier=2, jitter="full")` by default.
        retryable: what may be tried again: exception types, kinds or categories of errors by name ("rate_limit",
            "network", "server_error", "timeout", "transient", …), functions of the exception, or a list of any of
            these. By default failures, timeouts and throttling, but not mistakes of the program such as TypeError.
            May be set anew at any time.
        retry_result: function of the value; True means try again. By default answers with status 429 and 5xx.
        max_time: seconds from the first attempt after which no other starts; None (default) leaves it to the deadline.
        retry_after_cap: seconds, > 0; if the dependency asks for a longer pause the call ends at once. 60 by default.
        respect_retry_after: False for a dependency whose pauses are known to be wrong: only the backoff counts then.
            True by default, and best left so.
        budget: what retries are booked on; give one `RetryBudget` to all retries in front of one dependency. By
            default a budget of its own with a share of 0.2; None for no bound.
        idempotent: True (default): doing it twice does no harm. False: try again only what was certainly not sent.
            "key": every logical call has a key, the same in all attempts, which the function sends along; see
            `seawall.idempotency_key()`.
        nested: True to act also on what a retry further inside has given up; False by default.
        after_first: for streams, what to do after a failure once an item was delivered: "raise" (default) a
            `StreamInterruptedError`; "restart" calls again and leaves out as many items as were delivered, for streams
            that give the same items each time; "resume" goes on with what `resume` gives.
        resume: function of the items delivered so far that gives the rest of the stream.
        chance: source of jitter, for tests; see `core.chance`.
        name: see `PolicyBase`.

    Raises:
        ConfigurationError: if a value is out of its range.
    """

    kind = "retry"
    rank = 2
    shape: Shape = "loop"
    retry_result: Callable[[Any], bool] | None = None
    budget: RetryBudget | None = lazy()
    respect_retry_after = True
    idempotent: Idempotent = True
    nested = False
    after_first: AfterFirst = "raise"
    resume: Resume | None = None
    _retryable: Retryable | None = None
    _attempts: Counter[int] = lazy()
    _succeeded: Counter[str] = lazy()  # no plain number: copies made by overrides share it
    _failures: Counter[str] = lazy()
    _delays: Histogram = lazy()

    def __init__(
        self,
        attempts: int = 3,
        *,
        backoff: Backoff | None = None,
        retryable: Retryable | None = None,
        retry_result: Callable[[Any], bool] | None = None,
        max_time: float | None = None,
        retry_after_cap: float = 60.0,
        respect_retry_after: bool = True,
        budget: RetryBudget | Literal["own"] | None = "own",
        idempotent: Idempotent = True,
        nested: bool = False,
        after_first: AfterFirst = "raise",
        resume: Resume | None = None,
        chance: Chance | None = None,
        name: str | None = None,
    ) -> None:
        from seawall.machines import retry_budget  # noqa: F401 - for the state
        from seawall.machines.backoff import USUAL, Backoff  # late: nothing but a retry needs these
        from seawall.machines.retry import RetryOptions
        from seawall.policies import retry_run  # noqa: F401 - for `start`

        super().__init__(name)
        whole("Retry.attempts", attempts, 1)
        if backoff is not None and not isinstance(backoff, Backoff):
            raise ConfigurationError(f"Retry.backoff = {backoff!r}: must be a rule of seawall.backoff")
        if retry_result is not None:
            function("Retry.retry_result", retry_result)
        if max_time is not None:
            duration("Retry.max_time", max_time)
        duration("Retry.retry_after_cap", retry_after_cap, zero=True)
        if not (budget is None or budget == "own" or isinstance(budget, RetryBudget)):
            raise ConfigurationError(f"Retry.budget = {budget!r}: must be a RetryBudget, or None for no bound")
        if idempotent not in {True, False, "key"}:
            raise ConfigurationError(f'Retry.idempotent = {idempotent!r}: must be True, False or "key"')
        _check_streams(after_first, resume)
        self.options = RetryOptions(attempts, backoff or USUAL, max_time, float(retry_after_cap))
        self.retryable = retryable
        if budget != "own":
            self.budget = budget
        if isinstance(budget, RetryBudget):
            budget.join(attempts, self)
        self.chance: Chance = chance or system_chance
        self._keep(
            retry_result=retry_result,
            respect_retry_after=respect_retry_after,
            idempotent=idempotent,
            nested=nested,
            after_first=after_first,
            resume=resume,
        )

    def _standing(self) -> dict[str, Any]:
        if "budget" in vars(self):
            return super()._standing()
        budget = RetryBudget()
        budget.join(self.options.attempts, self)
        return {**super()._standing(), "budget": budget}

    def _begin(self) -> dict[str, Any]:
        from seawall.measure.histogram import Histogram  # late: loaded with the first policy

        counts: dict[str, Counter[Any]] = {"_attempts": Counter(), "_succeeded": Counter(), "_failures": Counter()}
        return {**super()._begin(), **counts, "_delays": Histogram()}

    @property
    def retryable(self) -> Retryable | None:
        """What may be tried again, as it was given; None for the default rule. May be set at any time."""
        return self._retryable

    @retryable.setter
    def retryable(self, rule: Retryable | None) -> None:
        from seawall.errors.predicates import predicate  # late: loaded with the first policy

        self._predicate: Predicate = predicate("Retry.retryable", rule)
        self._retryable = rule

    @contextmanager
    def rebound(self, clock: Clock) -> Iterator[None]:
        """See `PolicyBase.rebound`; the budget starts afresh too."""
        with super().rebound(clock):
            if self.budget is None:
                yield
            else:
                with self.budget.fresh():
                    yield

    def start(self, call: Call) -> Run:
        """Begin one logical call."""
        from seawall.policies.retry_run import Run  # late: loaded when this was made

        return Run(self, call)

    def quiet_features(self, colour: str) -> frozenset[str] | None:
        """See `PolicyBase.quiet_features`: none with a rule for answers, or a key for each call."""
        del colour
        return None if self.retry_result is not None or self.idempotent == "key" else frozenset({"retry"})

    def quiet_until(self, now: float) -> float:
        """See `PolicyBase.quiet_until`: until the present bucket of the budget ends."""
        return math.inf if self.budget is None else self.budget.steady_until(now)

    def quiet_refusals(self, left: float) -> bool:
        """See `PolicyBase.quiet_refusals`: those that it gives up without a word."""
        return self.options.attempts > 1 and (math.isinf(left) or left <= self.options.retry_after_cap)

    def _absorb_refusals(self, refusals: Sequence[Refusal]) -> None:
        self._attempts[1] += len(refusals)
        self._failures["rejected"] += len(refusals)

    def settle(self) -> None:
        """Book what has succeeded on quiet paths."""
        if self._made:
            with self._lock:
                self._catch_up()

    def _absorb(self, batch: Batch) -> None:
        self._attempts[1] += batch.count
        if self.budget is not None:
            self.budget.deposit_late(batch.at, batch.count)

    def ended(self, call: Call, error: BaseException | None, mark: int) -> Ended | None:
        """What an attempt's end means for trying again; None when it was a success, or is not ours to judge.

        `mark` was taken before the attempt: what a retry inside has given up since then is final.
        """
        from seawall.errors.hints import asks_to_stop  # late: loaded when this was made
        from seawall.errors.kinds import unsent
        from seawall.machines.retry import Ended

        if error is None:
            value = call.value
            if self.retry_result is not None:
                again = self.retry_result(value)
            else:
                verdict = call.judge(None, value)
                again = verdict.failed or verdict is Verdict.THROTTLED
            if not again:
                return None
            nested = not self.nested and given_up_since(value, mark)
            stop: Any = "nested" if nested else None if self._harmless(call) else "not_idempotent"
            return Ended(True, self._hint(call, None), stop=stop, pushback=asks_to_stop(value))
        nested = not self.nested and given_up_since(error, mark)
        if isinstance(error, RejectedError):
            return Ended(not nested, error.retry_after, rejected=True)
        stop = "nested" if nested else None if self._harmless(call) or unsent(error) else "not_idempotent"
        return Ended(self._predicate(error), self._hint(call, error), stop=stop, pushback=asks_to_stop(error))

    def _hint(self, call: Call, error: BaseException | None) -> float | None:
        """Seconds the dependency asks to wait, if that is heeded."""
        return call.hint(error, None if error is not None else call.value) if self.respect_retry_after else None

    def _harmless(self, call: Call) -> bool:
        """Whether the call may be sent twice."""
        said = call.options.idempotent
        return bool(self.idempotent) if said is None else said

    def snapshot(self) -> PolicySnapshot:
        """The retry at this moment; see `PolicyBase.snapshot`."""
        from seawall.core.snapshot import PolicySnapshot  # late: loaded when this was made

        budget = self.budget
        with self._lock:
            self._catch_up()
            attempts = self._attempts + Counter({1: self._under_way()})
            return PolicySnapshot(
                kind=self.kind,
                name=self.name,
                pipelines=self.pipelines,
                counters={
                    **{f"attempts.{n}": count for n, count in sorted(attempts.items())},
                    "success": self._succeeded["success"],
                    **{f"failures.{reason}": count for reason, count in sorted(self._failures.items())},
                },
                gauges={} if budget is None else {"budget": budget.balance(self.clock.now())},
                histograms={"delay": self._delays.data()},
                details={
                    "options": {
                        "attempts": self.options.attempts,
                        "backoff": repr(self.options.backoff),
                        "budget": repr(budget),
                        "idempotent": self.idempotent,
                    }
                },
            )


def _check_streams(after_first: object, resume: object) -> None:
    """Refuse rules for streams that do not fit together."""
    if after_first not in {"raise", "resume", "restart"}:
        raise ConfigurationError(f'Retry.after_first = {after_first!r}: must be "raise", "resume" or "restart"')
    if (after_first == "resume") != (resume is not None):
        raise ConfigurationError(
            f"Retry.resume = {resume!r} beside after_first = {after_first!r}: "
            'after_first="resume" needs a function of the items so far that gives the rest, and nothing else does'
        )
    if resume is not None:
        function("Retry.resume", resume)
