"""The sections `[pipelines.NAME]`: what stands around the calls to one dependency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from seawall.config.options import Section, cross, option
from seawall.config.policies import (
    BulkheadSection,
    CircuitBreakerSection,
    RateLimiterSection,
    RetrySection,
    TimeoutSection,
    otherwise_of,
)
from seawall.config.presets import Numbers, starting_from
from seawall.config.values import Duration, Says

Preset = Literal["storage", "network", "service", "agent"]


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
    retry: RetrySection | None = option(
        None, "Try again after a failure that may pass.", otherwise=otherwise_of("none")
    )
    circuit_breaker: CircuitBreakerSection | None = option(
        None, "Stop calling what keeps failing.", otherwise=otherwise_of("none")
    )
    rate_limiter: RateLimiterSection | None = option(
        None, "No more calls than so many in a time.", otherwise=otherwise_of("none")
    )
    bulkhead: BulkheadSection | None = option(
        None, "No more calls at once than so many.", otherwise=otherwise_of("none")
    )
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
        others = {"first_item", "idle", "min_rate", "share"} if kind == "timeout" else set()
        if kind in numbers and not {key, *others} & {one for one, value in numbers[kind].items() if value}:
            yield f"{kind}.{key}", f"is required: add {example}"
    retry = numbers.get("retry", {})
    base, cap = retry.get("base", 0.1), retry.get("cap", 10.0)
    if base > cap:
        here = section.retry is not None and "base" in section.retry.model_fields_set
        yield f"retry.{'base' if here else 'cap'}", f"does not fit: base ({base:g} s) must not be above cap ({cap:g} s)"
    if section.retry is not None and section.retry.multiplier and retry.get("backoff", "exponential") != "exponential":
        yield "retry.multiplier", f'has no meaning with backoff = "{retry["backoff"]}": leave it out'
    breaker = numbers.get("circuit_breaker", {})
    period = breaker.get("recovery_timeout", 30.0)
    for key in ("max_recovery_timeout", "max_open"):
        if breaker.get(key, period) < period:
            yield (
                f"circuit_breaker.{key}",
                f"must not be below recovery_timeout ({period:g} s): it would have no effect",
            )
    yield from _limit_disagreements(numbers.get("rate_limiter", {}))
    yield from _bulkhead_disagreements(numbers.get("bulkhead", {}))
    limit = numbers.get("timeout", {}).get("limit")
    if section.deadline is not None and limit is not None and limit > section.deadline:
        key = "timeout" if section.timeout is not None else "deadline"
        yield (
            key,
            f"does not fit: timeout ({limit:g} s, one attempt) must not be above deadline ({section.deadline:g} s)",
        )
