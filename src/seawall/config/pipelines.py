"""The sections `[pipelines.NAME]`: what stands around the calls to one dependency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from seawall.config.options import Section, cross, option
from seawall.config.presets import Numbers, starting_from
from seawall.config.values import Duration, Jitter, Rates, Says

Preset = Literal["storage", "network", "service", "agent"]


def _else(value: object) -> str:
    """What holds when a key is left out that a preset may give."""
    return f"the preset's, else {value}"


class RetrySection(Section):
    """Try again after a failure that may pass."""

    attempts: int | None = option(
        None, "How often a call is made at most, the first time included.", ge=1, le=1000,
        hint="the first call counts as attempt 1", otherwise=_else(3),
    )  # fmt: skip
    backoff: Literal["exponential", "linear", "constant", "fibonacci"] | None = option(
        None, "How the wait between attempts grows.", otherwise=_else('"exponential"')
    )
    base: Duration | None = option(None, "The first wait.", ge=0, otherwise=_else(0.1))
    cap: Duration | None = option(None, "The longest wait.", ge=0, otherwise=_else(10))
    multiplier: float | None = option(
        None, "What an exponential wait is multiplied by each time.", ge=1, le=100, otherwise=_else(2)
    )
    jitter: Jitter | None = option(
        None, "How waits are spread, so that callers do not come back in step: a word, a share around the wait, or the "
        "factors between which it is drawn.", otherwise=_else('"full"'),
    )  # fmt: skip
    max_time: Duration | None = option(
        None, "No attempt starts later than this after the first.", gt=0, otherwise="no limit"
    )
    retry_after_cap: Duration | None = option(
        None, "The longest `Retry-After` that is waited for; a longer one ends the call.", ge=0, otherwise="60"
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

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        """One kind of window, and room in it for the calls it needs."""
        if self.window is not None and self.calls is not None:
            raise cross(
                "calls", "stands beside window: a rate looks at a time or at a number of calls, so remove one of them"
            )
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
        None, "How long an open circuit waits before it lets trial calls through.", ge=0, otherwise=_else(30)
    )
    half_open_max_calls: int | None = option(
        None, "Trial calls that may be out at once.", ge=1, otherwise=_else(3),
        hint="without a trial call an open circuit never closes",
    )  # fmt: skip
    success_threshold: int | None = option(
        None, "Trial calls in a row that must succeed to close the circuit.", ge=1, otherwise=_else(2)
    )
    lease: Duration | None = option(
        None, "A trial call that has not ended by then has failed.", gt=0, otherwise="twice the timeout, else 60"
    )


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
    queue: int | None = option(None, "Calls that may wait for a place.", ge=0, otherwise=_else(0))
    max_wait: Duration | None = option(None, "How long each of them may wait.", ge=0, otherwise=_else(0))
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
    """The longest time one attempt may take."""

    limit: Duration | None = option(
        None, "The longest time one attempt may take.", gt=0, example="limit = 5",
        otherwise="the preset's; required without one",
    )  # fmt: skip
    mode: Literal["cooperative", "thread"] | None = option(
        None, "How a plain function is held to it: its own waits are shortened, or it is left behind in a thread.",
        otherwise="the preset's, else only async functions can be protected",
    )  # fmt: skip


def _short(value: object) -> object:
    """`timeout = 5` means `timeout = { limit = 5 }`."""
    return value if isinstance(value, dict) else {"limit": value}


class PipelineSection(Section):
    """What stands around the calls to one dependency."""

    preset: Preset | None = option(
        None, "Where to start from; the other keys change it.", otherwise="nothing but what is given here"
    )
    deadline: Duration | None = option(
        None, "The longest time a call may take with all its attempts.", gt=0, otherwise="no limit"
    )
    retry: RetrySection | None = option(None, "Try again after a failure that may pass.", otherwise=_else("none"))
    circuit_breaker: CircuitBreakerSection | None = option(
        None, "Stop calling what keeps failing.", otherwise=_else("none")
    )
    rate_limiter: RateLimiterSection | None = option(
        None, "No more calls than so many in a time.", otherwise=_else("none")
    )
    bulkhead: BulkheadSection | None = option(None, "No more calls at once than so many.", otherwise=_else("none"))
    timeout: Annotated[TimeoutSection, BeforeValidator(_short), Says("duration or table")] | None = option(
        None, "The longest time one attempt may take: a duration, or a table.", otherwise="the preset's, else no limit"
    )

    @model_validator(mode="after")
    def _protects(self) -> Self:
        """It does something, and what it does fits together."""
        if not self.model_fields_set:
            raise cross(
                "", 'protects nothing: add preset = "network", or one of the keys retry, circuit_breaker, timeout'
            )
        for key, problem in _disagreements(self, self.numbers()):
            raise cross(key, problem)
        return self

    def numbers(self) -> Numbers:
        """Every policy it has with the keys in force: the preset's, changed by what is given here."""
        found = starting_from(self.preset)
        for kind in ("retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout"):
            section: Section | None = getattr(self, kind)
            if section is not None:
                found[kind] = {**found.get(kind, {}), **given(section)}
        limit = found.get("rate_limiter", {})
        own = self.rate_limiter is not None and "burst" in self.rate_limiter.model_fields_set
        if not own and (_windows(limit) or isinstance(limit.get("rate"), list)):
            limit.pop("burst", None)  # a preset's, which has no meaning here
        if self.deadline is not None:
            found["deadline"] = {"limit": self.deadline}
        return found


def given(section: Section) -> dict[str, Any]:
    """The keys of a section that the file gives, with their values."""
    return {key: getattr(section, key) for key in type(section).model_fields if key in section.model_fields_set}


def _windows(limit: Mapping[str, Any]) -> bool:
    """Whether a rate limit counts in windows, which have no burst."""
    return limit.get("algorithm") in {"sliding_log", "sliding_counter", "fixed_window"}


def _limit_disagreements(limit: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What does not fit together in a rate limit."""
    yield from _key_disagreements("rate_limiter", limit)
    if "burst" in limit and _windows(limit):
        yield "rate_limiter.burst", f'has no meaning with algorithm = "{limit["algorithm"]}": leave it out'
    elif "burst" in limit and isinstance(limit.get("rate"), list) and len(limit["rate"]) > 1:
        yield "rate_limiter.burst", "does not say which of several rates it is for: leave it out"
    elif limit.get("cost") and limit["cost"] > limit.get("burst", math.inf):
        yield "rate_limiter.cost", f"could never be paid: it must not be above burst ({limit['burst']:g})"


def _key_disagreements(kind: str, keys: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What has no effect without a key."""
    for key in ("max_keys", "key_ttl"):
        if key in keys and "key" not in keys:
            yield f"{kind}.{key}", "has no effect without a key"


def _bulkhead_disagreements(bulkhead: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What does not fit together in a bulkhead."""
    yield from _key_disagreements("bulkhead", bulkhead)
    queue, wait = bulkhead.get("queue", 0), bulkhead.get("max_wait", 0.0)
    if wait and not queue:
        yield "bulkhead.max_wait", "has no effect without a queue: set queue to the number of calls that may wait"
    if bulkhead.get("order", "fifo") != "fifo" and not queue:
        yield "bulkhead.order", "has no effect without a queue: set queue to the number of calls that may wait"
    if bulkhead.get("refuse_early") and not wait:
        yield "bulkhead.refuse_early", 'has no effect without a wait: set max_wait, for example max_wait = "5s"'
    if queue and not wait:
        yield "bulkhead.queue", 'lets nobody in without a wait: set max_wait, for example max_wait = "5s"'


def _disagreements(section: PipelineSection, numbers: Numbers) -> Iterator[tuple[str, str]]:
    """What does not fit together, as key and problem."""
    for kind, key, example in (
        ("rate_limiter", "rate", 'rate = "60/minute"'),
        ("bulkhead", "max_concurrent", "max_concurrent = 100"),
        ("timeout", "limit", "limit = 5"),
    ):
        if kind in numbers and key not in numbers[kind]:
            yield f"{kind}.{key}", f"is required: add {example}"
    retry = numbers.get("retry", {})
    base, cap = retry.get("base", 0.1), retry.get("cap", 10.0)
    if base > cap:
        here = section.retry is not None and "base" in section.retry.model_fields_set
        yield f"retry.{'base' if here else 'cap'}", f"does not fit: base ({base:g} s) must not be above cap ({cap:g} s)"
    if section.retry is not None and section.retry.multiplier and retry.get("backoff", "exponential") != "exponential":
        yield "retry.multiplier", f'has no meaning with backoff = "{retry["backoff"]}": leave it out'
    yield from _limit_disagreements(numbers.get("rate_limiter", {}))
    yield from _bulkhead_disagreements(numbers.get("bulkhead", {}))
    limit = numbers.get("timeout", {}).get("limit")
    if section.deadline is not None and limit is not None and limit > section.deadline:
        key = "timeout" if section.timeout is not None else "deadline"
        yield (
            key,
            f"does not fit: timeout ({limit:g} s, one attempt) must not be above deadline ({section.deadline:g} s)",
        )
