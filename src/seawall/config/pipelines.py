"""The sections `[pipelines.NAME]`: what stands around the calls to one dependency."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from seawall.config.options import Section, cross, option
from seawall.config.values import Duration, Rate, Says

Preset = Literal["storage", "network", "service", "agent"]
_OR_PRESET = "the preset's, else {}"


class RetrySection(Section):
    """Try again after a failure that may pass."""

    attempts: int | None = option(
        None, "How often a call is made at most, the first time included.", ge=1, le=1000,
        hint="the first call counts as attempt 1", otherwise=_OR_PRESET.format(3),
    )  # fmt: skip
    backoff: Literal["exponential", "linear", "constant", "fibonacci"] | None = option(
        None, "How the wait between attempts grows.", otherwise=_OR_PRESET.format('"exponential"')
    )
    base: Duration | None = option(None, "The first wait.", gt=0, otherwise=_OR_PRESET.format(0.1))
    cap: Duration | None = option(
        None, "The longest wait, before jitter.", gt=0, otherwise=_OR_PRESET.format(10), hint="the longest single wait"
    )
    multiplier: float | None = option(
        None, "What an exponential wait is multiplied by each time.", ge=1, le=100, otherwise=_OR_PRESET.format(2)
    )
    jitter: Literal["none", "full", "equal"] | None = option(
        None, "How waits are spread, so that callers do not come back in step.", otherwise=_OR_PRESET.format('"full"')
    )
    max_time: Duration | None = option(
        None, "No attempt starts later than this after the first.", gt=0, otherwise="no limit"
    )
    retry_after_cap: Duration | None = option(
        None, "The longest `Retry-After` that is waited for; a longer one ends the call.", gt=0, otherwise="60"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """The first wait is no longer than the longest."""
        if self.base is not None and self.base > (self.cap if self.cap is not None else 10.0):
            raise cross("base", f"must not be above cap ({self.cap if self.cap is not None else 10.0:g} s)")
        if self.multiplier is not None and self.backoff not in {None, "exponential"}:
            raise cross("multiplier", f'has no meaning with backoff = "{self.backoff}": leave it out')
        return self


class FailureCountSection(Section):
    """Open after so many failures within a time."""

    count: int = option(..., "Failures that open the circuit.", ge=1, example="count = 5")
    window: Duration = option(60.0, "The time they are counted over.", gt=0)


class _Rated(Section):
    """What both rates have in common."""

    window: Duration | None = option(None, "The time that is looked at.", gt=0, otherwise="30, unless calls is given")
    calls: int | None = option(
        None, "Look at the last so many calls instead of a time.", ge=1, otherwise="the window is a time"
    )
    min_calls: int = option(10, "Below so many calls nothing is judged.", ge=1)

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        """One kind of window, and room in it for the calls it needs."""
        if self.window is not None and self.calls is not None:
            raise cross("calls", "stands beside window: a rate looks at a time or at a number of calls, so remove one")
        if self.calls is not None and "min_calls" in self.model_fields_set and self.min_calls > self.calls:
            raise cross("min_calls", f"must not be above calls ({self.calls}), or nothing is ever judged")
        return self


class FailureRateSection(_Rated):
    """Open when too large a part of the calls fail."""

    rate: float = option(
        ..., "Part of the calls that failed, at which the circuit opens.", gt=0, le=1, hint="0.5 is every other call",
        example="rate = 0.5",
    )  # fmt: skip


class SlowRateSection(Section):
    """Open when too large a part of the calls are slow."""

    rate: float = option(
        ..., "Part of the calls that were slow, at which the circuit opens.", gt=0, le=1,
        hint="0.5 is every other call", example="rate = 0.5",
    )  # fmt: skip
    slower_than: Duration = option(..., "A call that takes longer is slow.", gt=0, example='slower_than = "1s"')
    window: Duration = option(30.0, "The time that is looked at.", gt=0)
    min_calls: int = option(10, "Below so many calls nothing is judged.", ge=1)


class CircuitBreakerSection(Section):
    """Stop calling what keeps failing, and try again later. Any of the rules opens the circuit."""

    failure_threshold: int | None = option(
        None, "Open after so many failures in a row.", ge=1, otherwise="the preset's, else 5 if no other rule is given"
    )
    failure_count: FailureCountSection | None = option(None, "Open after so many failures within a time.")
    failure_rate: FailureRateSection | None = option(None, "Open when too large a part of the calls fail.")
    slow_rate: SlowRateSection | None = option(None, "Open when too large a part of the calls are slow.")
    recovery_timeout: Duration | None = option(
        None,
        "How long an open circuit waits before it lets trial calls through.",
        gt=0,
        otherwise=_OR_PRESET.format(30),
    )
    half_open_max_calls: int | None = option(
        None, "Trial calls that may be out at once.", ge=1, otherwise=_OR_PRESET.format(3),
        hint="without a trial call an open circuit never closes",
    )  # fmt: skip
    success_threshold: int | None = option(
        None, "Trial calls in a row that must succeed to close the circuit.", ge=1, otherwise=_OR_PRESET.format(2)
    )
    lease: Duration | None = option(
        None, "A trial call that has not ended by then has failed.", gt=0, otherwise="twice the timeout, else 60"
    )


class RateLimiterSection(Section):
    """No more calls than so many in a time."""

    rate: Rate = option(..., "Calls allowed in a time.", example='rate = "60/minute"')
    burst: int | None = option(
        None, "Calls that may come at once after a quiet time.", ge=1, otherwise="the rate's number"
    )
    max_wait: Duration = option(0.0, "How long a call may wait for its turn.", ge=0)


class BulkheadSection(Section):
    """No more calls at once than so many."""

    max_concurrent: int = option(..., "Calls that may be out at once.", ge=1, example="max_concurrent = 100")
    queue: int = option(0, "Calls that may wait for a place.", ge=0)
    max_wait: Duration = option(0.0, "How long each of them may wait.", ge=0)

    @model_validator(mode="after")
    def _can_wait(self) -> Self:
        """A wait needs a queue, and a queue needs a wait."""
        if self.max_wait > 0 and self.queue == 0:
            raise cross("max_wait", "has no effect without a queue: set queue to the number of calls that may wait")
        if self.queue > 0 and self.max_wait == 0:
            raise cross("queue", 'lets nobody in without a wait: set max_wait, for example max_wait = "5s"')
        return self


class TimeoutSection(Section):
    """The longest time one attempt may take."""

    limit: Duration = option(..., "The longest time one attempt may take.", gt=0, example="limit = 5")
    mode: Literal["cooperative", "thread"] | None = option(
        None, "How a plain function is stopped: its own waits are shortened, or it is left behind in a thread.",
        otherwise="async functions only",
    )  # fmt: skip


def _short(value: object) -> object:
    """`timeout = 5` means `timeout = { limit = 5 }`."""
    return value if isinstance(value, dict) else {"limit": value}


class PipelineSection(Section):
    """What stands around the calls to one dependency."""

    preset: Preset | None = option(
        None, "Where to start from; the other keys change it.", otherwise="nothing but what is given"
    )
    deadline: Duration | None = option(
        None, "The longest time a call may take with all its attempts.", gt=0, otherwise="no limit"
    )
    retry: RetrySection | None = option(None, "Try again after a failure that may pass.")
    circuit_breaker: CircuitBreakerSection | None = option(None, "Stop calling what keeps failing.")
    rate_limiter: RateLimiterSection | None = option(None, "No more calls than so many in a time.")
    bulkhead: BulkheadSection | None = option(None, "No more calls at once than so many.")
    timeout: Annotated[TimeoutSection, BeforeValidator(_short), Says("duration or table")] | None = option(
        None, "The longest time one attempt may take: a duration, or a table.", otherwise="no limit"
    )

    @model_validator(mode="after")
    def _protects(self) -> Self:
        """It does something, and what it does fits together."""
        if not self.model_fields_set:
            raise cross(
                "", 'protects nothing: add preset = "network", or one of the keys retry, circuit_breaker, timeout'
            )
        if self.deadline is not None and self.timeout is not None and self.timeout.limit > self.deadline:
            raise cross("timeout", f"must not be above the deadline of all attempts together ({self.deadline:g} s)")
        return self


def given(section: Section | None) -> dict[str, Any]:
    """The keys of a section that the file gives, with their values."""
    return {} if section is None else {key: getattr(section, key) for key in section.model_fields_set}
