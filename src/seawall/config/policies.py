"""The sections below `[pipelines.NAME]`: one for each policy."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import model_validator

from seawall.config.options import Section, cross, option
from seawall.config.values import Duration, Jitter, KindOfError, Rates, Says


def otherwise_of(value: object) -> str:
    """What holds when a key is left out that a preset may give."""
    return f"the preset's, else {value}"


class BudgetSection(Section):
    """Bounds the retries to a share of the first attempts."""

    ratio: float = option(0.2, "Retries for each first attempt.", ge=0, le=10)
    floor: float = option(0.1, "Retries a second that are allowed without first attempts.", ge=0)
    window: Duration = option(10.0, "The time that is looked at.", gt=0)
    minimum: float | None = option(
        None, "Retries within the window that are always allowed.", ge=0, otherwise="those of one call"
    )


class RetrySection(Section):
    """Try again after a failure that may pass."""

    attempts: int | None = option(
        None, "How often a call is made at most, the first time included.", ge=1, le=1000,
        hint="the first call counts as attempt 1", otherwise=otherwise_of(3),
    )  # fmt: skip
    backoff: Literal["exponential", "linear", "constant", "fibonacci"] | None = option(
        None, "How the wait between attempts grows.", otherwise=otherwise_of('"exponential"')
    )
    base: Duration | None = option(None, "The first wait.", ge=0, otherwise=otherwise_of(0.1))
    cap: Duration | None = option(None, "The longest wait.", ge=0, otherwise=otherwise_of(10))
    multiplier: float | None = option(
        None, "What an exponential wait is multiplied by each time.", ge=1, le=100, otherwise=otherwise_of(2)
    )
    jitter: Jitter | None = option(
        None, "How waits are spread, so that callers do not come back in step: a word, a share around the wait, or the "
        "factors between which it is drawn.", otherwise=otherwise_of('"full"'),
    )  # fmt: skip
    max_time: Duration | None = option(
        None, "No attempt starts later than this after the first.", gt=0, otherwise="no limit"
    )
    retry_after_cap: Duration | None = option(
        None, "The longest `Retry-After` that is waited for; a longer one ends the call.", ge=0, otherwise="60"
    )

    retryable: Annotated[tuple[KindOfError, ...], Says("list of kinds")] | None = option(
        None, "Kinds or categories of errors that may be tried again.", strict=False,
        example='retryable = ["network", "rate_limit"]', otherwise="failures, timeouts and throttling",
    )  # fmt: skip
    respect_retry_after: bool | None = option(
        None, "Heed the pauses the dependency asks for; false only if they are known to be wrong.", otherwise="true"
    )
    idempotent: Annotated[bool | Literal["key"], Says('boolean or "key"')] | None = option(
        None, 'Whether doing it twice does no harm; "key" makes a key for each call.', otherwise="true"
    )
    nested: bool | None = option(None, "Act also on what a retry further inside has given up.", otherwise="false")
    budget: Annotated[BudgetSection | Literal[False], Says("table or false")] | None = option(
        None, "Bounds the retries to a share of the first attempts; false for no bound.", otherwise="a share of 0.2"
    )


class FailureCountSection(Section):
    """Open after so many failures within a time."""

    threshold: int = option(..., "Failures that open the circuit.", ge=1, example="threshold = 5")
    window: Duration = option(60.0, "The time they are counted over.", gt=0)


class RateRuleSection(Section):
    """Open when too large a part of the calls fail."""

    rate: float = option(
        0.5, "The part at which the circuit opens, from 0 to 1.", gt=0, le=1, hint="0.5 is every other call"
    )
    window: Duration | None = option(None, "The time that is looked at.", gt=0, otherwise="30, unless calls is given")
    calls: int | None = option(
        None, "Look at the last so many calls instead of a time.", ge=1, otherwise="the window is a time"
    )
    min_calls: int | None = option(
        None, "Below so many calls nothing is judged.", ge=1, otherwise="10, or calls if that is less"
    )
    tumbling: bool = option(False, "Clear the whole window when it ends, instead of letting it slide.")

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        """One kind of window, and room in it for the calls it needs."""
        if self.window is not None and self.calls is not None:
            raise cross(
                "calls", "stands beside window: a rate looks at a time or at a number of calls, so remove one of them"
            )
        if self.calls is not None and self.tumbling:
            raise cross("tumbling", "has no meaning beside calls: only a window of time can tumble")
        if self.calls is not None and self.min_calls is not None and self.min_calls > self.calls:
            raise cross("min_calls", f"must not be above calls ({self.calls}), or nothing is ever judged")
        return self


class SlowRuleSection(RateRuleSection):
    """Open when too large a part of the calls are slow."""

    slower_than: Duration = option(1.0, "A call that takes longer is slow.", gt=0)


class CircuitBreakerSection(Section):
    """Stop calling what keeps failing, and try again later. Any of its rules opens it; they replace a preset's."""

    failure_threshold: int | None = option(
        None, "Open after so many failures in a row.", ge=1, otherwise="the preset's rule, else 5 if there is no other"
    )
    failure_count: FailureCountSection | None = option(None, "Open after so many failures within a time.")
    failure_rate: RateRuleSection | None = option(None, "Open when too large a part of the calls fail.")
    slow_rate: SlowRuleSection | None = option(None, "Open when too large a part of the calls are slow.")
    recovery_timeout: Duration | None = option(
        None, "How long an open circuit waits before it lets trial calls through.", ge=0, otherwise=otherwise_of(30)
    )
    half_open_max_calls: int | None = option(
        None, "Trial calls that may be out at once.", ge=1, otherwise=otherwise_of(3),
        hint="without a trial call an open circuit never closes",
    )  # fmt: skip
    success_threshold: int | None = option(
        None, "Trial calls in a row that must succeed to close the circuit.", ge=1, otherwise=otherwise_of(2)
    )
    lease: Duration | None = option(
        None, "A trial call that has not ended by then has failed.", gt=0, otherwise="twice the timeout, else 60"
    )
    growth: float = option(
        1.0, "What the wait is multiplied by each time the circuit opens without having been closed.", ge=1, le=100
    )
    max_recovery_timeout: Duration | None = option(
        None, "The longest wait that growth makes.", gt=0, otherwise="120, or recovery_timeout if that is more"
    )
    recovery_jitter: float = option(
        0.0, "How waits are spread, so that programs do not try in step: a share around the wait, 0 to 1.", ge=0, le=1,
        hint="0.1 is a tenth more or less",
    )  # fmt: skip
    max_open: Duration | None = option(
        None, "The longest `Retry-After` that an opening circuit heeds.", gt=0,
        otherwise="300, or recovery_timeout if that is more",
    )  # fmt: skip
    half_open: Literal["consecutive", "rate"] = option(
        "consecutive", "How trial calls are judged: the first failure opens, or many are judged together."
    )
    half_open_trials: int | None = option(
        None, 'How many are judged together; only with half_open = "rate".', ge=1, otherwise="10"
    )
    half_open_failure_rate: float | None = option(
        None, 'The part of failed ones at which it opens again; only with half_open = "rate".', gt=0, le=1,
        otherwise="0.5",
    )  # fmt: skip
    half_open_early: bool = option(
        True, 'Settle as soon as the trials to come cannot change it; only with half_open = "rate".'
    )
    max_half_open: Duration | None = option(
        None, "A circuit that trial calls have not settled by then opens again.", gt=0, otherwise="no limit"
    )
    ramp: Duration = option(0.0, "How long a circuit that has closed takes to let all calls through again.", ge=0)
    key: str | None = option(
        None, "The argument of the protected function whose values have a circuit each.", example='key = "host"',
        otherwise="one circuit for all calls",
    )  # fmt: skip
    max_keys: int | None = option(None, "Circuits kept, with a key.", ge=1, otherwise="1000")
    key_ttl: Duration | None = option(
        None, "A closed circuit that was not used for so long is forgotten, with a key.", gt=0, otherwise="3600"
    )
    shadow: bool = option(False, "Only report what it would refuse, and refuse nothing.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Keys that mean something only beside another one."""
        if self.half_open != "rate":
            for key in ("half_open_trials", "half_open_failure_rate"):
                if getattr(self, key) is not None:
                    raise cross(key, 'has no meaning without half_open = "rate": add that, or leave it out')
            if not self.half_open_early:
                raise cross("half_open_early", 'has no meaning without half_open = "rate": add that, or leave it out')
        if self.key is None:
            for key in ("max_keys", "key_ttl"):
                if getattr(self, key) is not None:
                    raise cross(key, "has no meaning without key: name the argument whose values have a circuit each")
        elif not self.key.isidentifier():
            raise cross("key", 'must be the name of an argument, such as key = "host"')
        if self.max_recovery_timeout is not None and self.growth == 1.0:
            raise cross("max_recovery_timeout", "has no meaning with growth = 1: set growth above 1, or leave it out")
        return self


class RateLimiterSection(Section):
    """No more calls than so many in a time."""

    rate: Rates | None = option(
        None, "Calls allowed in a time; of several, all must hold.", example='rate = "60/minute"',
        otherwise="the preset's; required without one",
    )  # fmt: skip
    algorithm: Literal["token_bucket", "gcra", "sliding_log", "sliding_counter", "fixed_window"] | None = option(
        None, "How it is counted: with a burst, or in windows.", otherwise='"token_bucket"'
    )
    burst: float | None = option(
        None, "Calls that may come at once after a quiet time.", ge=1,
        otherwise="the preset's, else the calls of one second",
    )  # fmt: skip
    max_wait: Duration | None = option(None, "How long a call may wait for its turn.", ge=0, otherwise="0")
    cost: float | None = option(None, "What one call takes of it.", gt=0, otherwise="1")
    key: str | None = option(
        None, "An argument of the protected function: each of its values has a limit of its own.", min_length=1,
        otherwise="one limit for all",
    )  # fmt: skip
    max_keys: int | None = option(
        None, "Values of the key that are kept; the least recently used go.", ge=1, otherwise="10000"
    )
    key_ttl: Duration | None = option(
        None, "A value that was not used for so long is forgotten.", gt=0, otherwise="1 h, or until the limit recovers"
    )
    shadow: bool | None = option(None, "Decide, count and report, but let everybody through.", otherwise="false")


class BulkheadSection(Section):
    """No more calls at once than so many."""

    max_concurrent: int | None = option(
        None, "Calls that may be out at once.", ge=1, example="max_concurrent = 100",
        otherwise="the preset's; required without one",
    )  # fmt: skip
    queue: int | None = option(None, "Calls that may wait for a place.", ge=0, otherwise=otherwise_of(0))
    max_wait: Duration | None = option(None, "How long each of them may wait.", ge=0, otherwise=otherwise_of(0))
    order: Literal["fifo", "lifo", "adaptive"] | None = option(
        None, "Who is served next: the first who came, the last, or the first until the queue has lasted 1 s.",
        otherwise='"fifo"',
    )  # fmt: skip
    refuse_early: bool | None = option(
        None, "Refuse at once who would probably wait longer than max_wait.", otherwise="false"
    )
    key: str | None = option(
        None, "An argument of the protected function: each of its values has a bulkhead of its own.", min_length=1,
        otherwise="one bulkhead for all",
    )  # fmt: skip
    max_keys: int | None = option(
        None, "Values of the key that are kept; the least recently used go.", ge=1, otherwise="10000"
    )
    key_ttl: Duration | None = option(
        None, "A value that was not used for so long is forgotten.", gt=0, otherwise="1 h"
    )
    shadow: bool | None = option(None, "Decide, count and report, but let everybody through.", otherwise="false")


class TimeoutSection(Section):
    """The longest time one attempt may take, and how long a stream may be waited for."""

    limit: Duration | None = option(
        None, "The longest time one attempt may take; for a stream, in all.", gt=0, example="limit = 5",
        otherwise="the preset's; required unless another limit is given",
    )  # fmt: skip
    first_item: Duration | None = option(None, "Streams: how long the first item may take.", gt=0, otherwise="idle")
    idle: Duration | None = option(None, "Streams: the longest silence between two items.", gt=0, otherwise="no limit")
    min_rate: float | None = option(None, "Streams: items a second that must arrive.", gt=0, otherwise="no limit")
    rate_window: Duration | None = option(None, "Streams: the time the rate is judged over.", gt=0, otherwise="10")
    share: bool | None = option(
        None, "Give an attempt at most its equal share of what the deadline leaves.", otherwise="false"
    )
    mode: Literal["cooperative", "thread"] | None = option(
        None, "How a plain function is held to it: its own waits are shortened, or it is left behind in a thread.",
        otherwise="the preset's, else only async functions can be protected",
    )  # fmt: skip
