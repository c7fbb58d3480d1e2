"""Turns a configuration into the parts it describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seawall.budgets.retry import RetryBudget
from seawall.config.load import load
from seawall.config.pipelines import PipelineSection, given
from seawall.machines import backoff
from seawall.machines.trip import ConsecutiveFailures, TripRule
from seawall.machines.trip_windows import FailureCount, FailureRate, SlowRate
from seawall.policies.base import PolicyBase
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.rate_limiter import RateLimiter
from seawall.policies.retry import Retry
from seawall.policies.timeout import Deadline, Timeout


def pipelines_from_file(path: str | Path) -> dict[str, tuple[PolicyBase, ...]]:
    """The policies of every pipeline of a file, outermost first, by the name of the pipeline.

    Raises:
        ConfigurationErrors: listing every mistake of the file, in whatever section.
    """
    return {name: policies(section) for name, section in load(path).pipelines.items()}


def policies(section: PipelineSection) -> tuple[PolicyBase, ...]:
    """The policies of one pipeline, outermost first."""
    numbers = section.numbers()
    made = [_MAKERS[kind](keys) for kind, keys in numbers.items()]
    return tuple(sorted(made, key=lambda policy: policy.rank))


def _retry(keys: Mapping[str, Any]) -> Retry:
    """A retry from its keys."""
    rule = _BACKOFFS[keys.get("backoff", "exponential")]
    known = ("base", "cap", "jitter") + (("multiplier",) if rule is backoff.Exponential else ())
    plain = ("attempts", "max_time", "retry_after_cap", "respect_retry_after", "retryable", "idempotent", "nested")
    rest = {key: keys[key] for key in plain if key in keys}
    if "budget" in keys:
        rest["budget"] = RetryBudget(**given(keys["budget"])) if keys["budget"] else None
    return Retry(backoff=rule(**{key: keys[key] for key in known if key in keys}), **rest)


def _circuit_breaker(keys: Mapping[str, Any]) -> CircuitBreaker:
    """A circuit breaker from its keys: rules of the file in place of the preset's."""
    rest = {key: value for key, value in keys.items() if key not in _RULES}
    rules = [_RULES[key](value) for key, value in keys.items() if key in _RULES]
    return CircuitBreaker(**{**rest, "trip": rules or rest.get("trip")})


def _rated(rule: Callable[..., TripRule]) -> Callable[[Any], TripRule]:
    """A rule that judges a part of the calls."""

    def build(section: Any) -> TripRule:
        keys = given(section)
        if section.calls is not None:
            keys.setdefault("min_calls", min(10, section.calls))
        return rule(**keys)

    return build


_BACKOFFS: dict[str, Callable[..., backoff.Backoff]] = {
    "exponential": backoff.Exponential,
    "linear": backoff.Linear,
    "constant": backoff.Constant,
    "fibonacci": backoff.Fibonacci,
}

_RULES: dict[str, Callable[[Any], TripRule]] = {
    "failure_threshold": ConsecutiveFailures,
    "failure_count": lambda section: FailureCount(**given(section)),
    "failure_rate": _rated(FailureRate),
    "slow_rate": _rated(SlowRate),
}

_MAKERS: dict[str, Callable[[dict[str, Any]], PolicyBase]] = {
    "deadline": lambda keys: Deadline(**keys),
    "retry": _retry,
    "circuit_breaker": _circuit_breaker,
    "rate_limiter": lambda keys: RateLimiter(**keys),
    "bulkhead": lambda keys: Bulkhead(**keys),
    "timeout": lambda keys: Timeout(**keys),
}
